#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Instructions that ChatService executes in user mode for a message and for each delivery of it, all threads
# together: what it costs before the kernel begins, the same on a noisy machine as on a quiet one.
#
#   scripts/bench-instructions.sh [DIRECTORY]     of the release build in DIRECTORY, or of this one
#
# valgrind counts, since virtual machines seldom lend their hardware counters. A run of twice the messages has
# executed more than a run of once; with 50 and with 500 receivers that gives two equations for two unknowns.
source "$(dirname "$0")/lib.sh"
command -v valgrind >/dev/null || die "valgrind is not installed: apt-get install valgrind"
if [ $# -eq 0 ]; then
    swift build -c release
    set -- .build/release
fi
from=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for name in chatctl AuthService ChatService; do
    # Without what debuggers read, which is newer than valgrind understands.
    strip -g -o "$work/bin/$name" "$from/$name"
done
mv "$work/bin/ChatService" "$work/bin/ChatService.real"
cat >"$work/bin/ChatService" <<EOF
#!/bin/sh
exec valgrind --tool=cachegrind --cache-sim=no --branch-sim=no --cachegrind-out-file=/dev/null \\
    --log-file='$work/count.%p' '$work/bin/ChatService.real' "\$@"
EOF
chmod +x "$work/bin/ChatService"

rate=20 # messages a second: so few that each is sent by itself
# usage: executed RECEIVERS SECONDS     instructions of a whole run
executed() {
    rm -f "$work"/count.*
    SWIFT_DETERMINISTIC_HASHING=1 "$work/bin/chatctl" bench --clients "$1" --rooms 1 --rooms-per-client 1 \
        --rate "$rate" --seconds "$2" --no-floors >"$work/table" || die "the run failed: $(cat "$work/table")"
    sed -n 's/.* I *refs: *//p' "$work"/count.* | tr -d ,
}
# usage: each RECEIVERS     instructions of a message with all its deliveries
each() {
    local once twice
    once=$(executed "$1" 5)
    twice=$(executed "$1" 10)
    echo $(((twice - once) / (5 * rate)))
}
few=$(each 50)
many=$(each 500)
delivery=$(((many - few) / 450))
printf 'a message with 50 deliveries   %s instructions\n' "$few"
printf 'a message with 500 deliveries  %s instructions\n' "$many"
printf 'a delivery                     %s instructions\n' "$delivery"
printf 'a message without              %s instructions\n' $((few - 50 * delivery))
