#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a frame and a packet cost in each protocol layer, beside Python's and Node's parsers on the same bytes:
# nanoseconds, instructions, heap allocations. A parser that is not installed is left out and said so.
#
# Instructions are counted by valgrind, since virtual machines seldom lend their hardware counters: what 2,000
# rounds execute more than 1,000 do is the cost of 1,000, without start and end of the process.
source "$(dirname "$0")/lib.sh"
swift build -c release --product ProtocolTool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without what debuggers read, which is newer than valgrind understands.
tool=$work/ProtocolTool
strip -g -o "$tool" .build/release/ProtocolTool
"$tool" bench >"$work/ours"
"$tool" vectors >"$work/vectors"

# usage: executed CASE ROUNDS
executed() {
    SWIFT_DETERMINISTIC_HASHING=1 valgrind --tool=cachegrind --cache-sim=no --branch-sim=no \
        --cachegrind-out-file=/dev/null "$tool" rounds "$1" "$2" 2>&1 |
        sed -n 's/.* I *refs: *//p' | tr -d ,
}
: >"$work/instructions"
if command -v valgrind >/dev/null; then
    cut -f1 "$work/ours" | while IFS= read -r name; do
        once=$(executed "$name" 1000)
        twice=$(executed "$name" 2000)
        printf '%s\t%s\n' "$name" $(((twice - once + 500) / 1000)) >>"$work/instructions"
    done
else
    say "valgrind is not installed, so no instructions are counted: apt-get install valgrind"
fi
python=.venv/bin/python
[ -x "$python" ] || python=python3
"$python" scripts/bench-parsers.py measure <"$work/vectors" >"$work/python" || : >"$work/python"
client=services/frontend/node_modules/socket.io-client/socket.io.min.js
node scripts/bench-parsers.mjs "$client" <"$work/vectors" >"$work/node" || : >"$work/node"
"$python" scripts/bench-parsers.py table "$work/ours" "$work/instructions" "$work/python" "$work/node"
