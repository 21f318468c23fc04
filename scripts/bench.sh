#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Load figures of this machine, beside the floors of the same machine. Arguments go to
# `chatctl bench`, for instance: scripts/bench.sh --clients 2000 --rate 400 --json bench.json
# Without any: what the parsers cost, and short runs of the main scenarios, in some three minutes.
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build
swift build -c release
[ $# -eq 0 ] || exec .build/release/chatctl bench "$@"

scripts/bench-parsers.sh
failed=0
# usage: scenario ARGUMENT…     one run under its command line
scenario() {
    printf '\nchatctl bench %s\n\n' "$*"
    .build/release/chatctl bench "$@" || failed=1
}
one=(--clients 500 --rooms 1 --rooms-per-client 1)
scenario "${one[@]}" --rate 100 --seconds 4 --pairs 3
scenario "${one[@]}" --rate 1000 --seconds 4 --no-floors
scenario "${one[@]}" --rate 3000 --seconds 4
scenario --scenario sends --seconds 3
scenario --scenario storm --clients 5000
scenario --scenario idle --clients 5000 --seconds 30
exit "$failed"
