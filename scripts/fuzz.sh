#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each parser under libFuzzer and AddressSanitizer. What is found new is kept in .build-fuzz/corpus; an
# input that fails is kept there too and named.
# usage: scripts/fuzz.sh [SECONDS a target] [TARGET…]     FUZZ_SECONDS is the default, else 60
source "$(dirname "$0")/lib.sh"

seconds=${1:-${FUZZ_SECONDS:-60}}
[ $# -eq 0 ] || shift
[[ $seconds =~ ^[0-9]+$ ]] || die "seconds must be a number, not '$seconds'"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(HTTP1 WebSocket EngineIO SocketIO JSON JWT Connection Server)

export FUZZ=1
# The coverage that -sanitize=fuzzer asks for by itself is of a kind libFuzzer no longer reads.
build=(--configuration release --sanitize fuzzer --sanitize address --scratch-path .build-fuzz
    -Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table)
bin=$(swift build "${build[@]}" --show-bin-path)
status=0
for target in "${targets[@]}"; do
    say "Fuzz$target: build"
    swift build "${build[@]}" --product "Fuzz$target"
    found=.build-fuzz/corpus/$target
    mkdir -p "$found"
    say "Fuzz$target: $seconds s"
    log=.build-fuzz/$target.log
    if "$bin/Fuzz$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 \
        -artifact_prefix="$found/" "$found" "Tests/FuzzCorpus/$target" >"$log" 2>&1; then
        closing "fuzz $target: no finding, $(grep -a '^Done ' "$log" | tail -n 1)," \
            "$(find "$found" -type f | wc -l) inputs kept"
    else
        status=1
        tail -n 40 "$log"
        closing "fuzz $target: FAILED, see $log and $found"
    fi
done
exit "$status"
