#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Tests, checks, release build, its allocations, a short chaos, conformance; repeats every runner's closing line
# at the end. The sanitizers, the fuzzers and the long chaos are runs of their own.
source "$(dirname "$0")/lib.sh"
exec </dev/null
CLOSING_LINES=$(mktemp)
export CLOSING_LINES

summary() {
    local status=$?
    say "closing lines"
    cat "$CLOSING_LINES"
    rm -f "$CLOSING_LINES"
    if [ "$status" -eq 0 ]; then say "ci: passed in ${SECONDS} s"; else say "ci: FAILED after ${SECONDS} s"; fi
}
trap summary EXIT

# usage: step NAME COMMAND…
step() {
    local name=$1 begun=$SECONDS
    shift
    say "$name"
    "$@"
    closing "$name took $((SECONDS - begun)) s"
}

step "test" scripts/test.sh
step "check" scripts/check.sh
step "release build" swift build -c release
step "allocations" .build/release/ProtocolTool allocations
step "no planted bugs" scripts/tidy.sh
step "chaos" env CHAOS_SECONDS=30 CHAOS_FAULTS=20 scripts/chaos.sh run --clients 60
step "web client" services/frontend/build.sh
step "conformance" scripts/conformance.sh
