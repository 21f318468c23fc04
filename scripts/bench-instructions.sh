#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Instructions that ChatService executes in user mode for a message and for each delivery of it, all threads
# together: what it costs before the kernel begins, the same on a noisy machine as on a quiet one.
#
#   scripts/bench-instructions.sh [CHATSERVICE]     of that executable, or of this release build's
#
# valgrind counts, since virtual machines seldom lend their hardware counters. A run with more messages in the
# same time has executed more; with few and with many receivers that gives two equations for two unknowns.
source "$(dirname "$0")/lib.sh"
command -v valgrind >/dev/null || die "valgrind is not installed: apt-get install valgrind"
swift build -c release
service=${1:-.build/release/ChatService}
[ -x "$service" ] || die "$service is no executable"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp .build/release/{chatctl,AuthService} "$work/bin"
# Without what debuggers read, which is newer than valgrind understands.
strip -g -o "$work/ChatService" "$service"
cat >"$work/bin/ChatService" <<EOF
#!/bin/sh
# Each message is sent by itself, however slow valgrind makes the loop.
export CHAT_FLUSH_WINDOW=0ms
exec valgrind --tool=cachegrind --cache-sim=no --branch-sim=no --cachegrind-out-file=/dev/null \\
    --log-file='$work/count.%p' '$work/ChatService' "\$@"
EOF
chmod +x "$work/bin/ChatService"
export SWIFT_DETERMINISTIC_HASHING=1

seconds=8
# usage: executed RATE CLIENTS ROOMS EACH     sets `count` to the instructions of a whole run
executed() {
    rm -f "$work"/count.*
    "$work/bin/chatctl" bench --rate "$1" --clients "$2" --rooms "$3" --rooms-per-client "$4" \
        --seconds "$seconds" --no-floors >"$work/table" || die "the run failed: $(cat "$work/table")"
    count=$(sed -n 's/.* I *refs: *//p' "$work"/count.* | tr -d ,)
    [ -n "$count" ] || die "valgrind has counted nothing: $(cat "$work"/count.*)"
}
# usage: each RATE CLIENTS ROOMS EACH     sets `each` to the instructions of a message with all its deliveries
# The more messages, the less what setting up takes more in one run than in another.
each() {
    local rate=$1
    shift
    executed "$rate" "$@"
    local once=$count
    executed $((5 * rate)) "$@"
    each=$(((count - once) / (4 * rate * seconds)))
}
declare -A message
for number in 50 500 2000; do
    each $((number > 500 ? 10 : 25)) "$number" 1 1
    message[$number]=$each
    printf 'a message with %s deliveries: %s instructions\n' "$number" "$each"
done
first=$(((message[500] - message[50]) / 450))
second=$(((message[2000] - message[500]) / 1500))
alone=$((message[50] - 50 * first))
printf 'a delivery, from 50 to 500 receivers: %s instructions; from 500 to 2000: %s\n' "$first" "$second"
printf 'a message without its deliveries: %s instructions\n' "$alone"
# Rooms of a hundred, and as many of them for each of at most a thousand people as it takes.
for rooms in 1 10 100; do
    clients=$((rooms > 10 ? 1000 : rooms * 100))
    each 25 "$clients" "$rooms" $((rooms * 100 / clients))
    printf 'a delivery in one of %s rooms of 100: %s instructions\n' "$rooms" $(((each - alone) / 100))
done
