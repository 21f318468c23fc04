#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All Swift tests under ThreadSanitizer, then under AddressSanitizer with its leak check. A report fails the
# run even where every test passes. Each has a build of its own (minutes, 3 GB); waits in tests are longer.
# usage: scripts/sanitize.sh [thread|address]… [-- arguments of `swift test`, such as --filter BusTests]
source "$(dirname "$0")/lib.sh"
kinds=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    [[ $1 == thread || $1 == address ]] || die "thread or address, not '$1'"
    kinds+=("$1")
    shift
done
[ $# -eq 0 ] || shift
[ ${#kinds[@]} -gt 0 ] || kinds=(thread address)
scripts/setup.sh build test

# A test that fails on purpose in a child process would leave reports of its own: only the runner's count.
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
export TSAN_OPTIONS=log_path=$reports/report
export ASAN_OPTIONS=log_path=$reports/report:detect_leaks=1
status=0
for kind in "${kinds[@]}"; do
    export SANITIZE=$kind
    build=(--sanitize "$kind" --scratch-path ".build-$kind")
    rm -f "$reports"/*
    swift build --build-tests "${build[@]}"
    with_closing "swift test under the $kind sanitizer" 'Test run with' \
        limited 1800 swift test --skip-build --disable-xctest "${build[@]}" "$@" || status=1
    count=$(cat "$reports"/report* 2>/dev/null | grep -cE 'WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer') || :
    closing "$kind sanitizer: $count reports"
    [ "$count" -eq 0 ] || {
        status=1
        cat "$reports"/report* >&2
    }
done
exit "$status"
