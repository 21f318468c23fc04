#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The checker: breaks a running cluster under many clients and verifies what they saw.
# usage: scripts/chaos.sh [--debug] [run|redis|loss|join|presence|disk|log|verify] [flags of Sources/Chaos…]
#        scripts/chaos.sh [--debug] --planted     every planted bug must be found
#
# CHAOS_SECONDS and CHAOS_FAULTS bound `run`, CHAOS_SEED decides its faults. As root it gets a mount
# namespace of its own, for a disk that can be full, and `loss` a network that loses packets.
source "$(dirname "$0")/lib.sh"

configuration=release planted=0
while [ $# -gt 0 ]; do
    case $1 in
    --debug) configuration=debug ;;
    --planted) planted=1 ;;
    *) break ;;
    esac
    shift
done
command=${1:-run}
[ $# -eq 0 ] || shift

scripts/setup.sh build test
swift build -c "$configuration" --product Chaos
swift build -c "$configuration" --product AuthService
swift build -c "$configuration" --product ChatService
checker=$ROOT/.build/$configuration/Chaos
CHAOS_CLOCK_SHIM=$ROOT/.build/clock-shift.so
clang -shared -fPIC -O1 -o "$CHAOS_CLOCK_SHIM" scripts/clock-shift.c
export CHAOS_CLOCK_SHIM

# usage: isolated COMMAND…
isolated() {
    local flags=(--mount --propagation private)
    [ "$command" != loss ] || flags+=(--net)
    if unshare "${flags[@]}" true 2>/dev/null; then
        # shellcheck disable=SC2016
        unshare "${flags[@]}" bash -c 'ip link set lo up 2>/dev/null; exec "$@"' isolated "$@"
    else
        say "no namespaces of our own (needs root): no full disk, no lost packets"
        "$@"
    fi
}

if [ "$planted" -eq 1 ]; then
    # A build of its own: no other binary has the switch (scripts/tidy.sh looks).
    PLANTED_BUGS=1 swift build --scratch-path .build/planted --product ChatService
    failed=0
    for bug in announce-before-commit ack-before-commit dedupe-dropped gap-ignored; do
        isolated "$checker" run --chat-service "$ROOT/.build/planted/debug/ChatService" \
            --planted-bug "$bug" --expect-violation --seed "${CHAOS_SEED:-1}" --clients 40 \
            --rate 60 --seconds "${CHAOS_SECONDS:-20}" --faults "${CHAOS_FAULTS:-12}" \
            --kinds disk-full,redis-restart,kill,pause,cut | sed '/^VIOLATION/{10,$d}' ||
            failed=$((failed + 1))
    done
    [ "$failed" -eq 0 ] || { closing "chaos: $failed planted bugs were not found"; exit 1; }
    closing "chaos: all 4 planted bugs were found"
    exit 0
fi

case $command in
run)
    with_closing chaos '^chaos: (clean|VIOLATIONS)' isolated "$checker" run \
        --seconds "${CHAOS_SECONDS:-300}" --faults "${CHAOS_FAULTS:-200}" \
        ${CHAOS_SEED:+--seed "$CHAOS_SEED"} "$@"
    ;;
*) isolated "$checker" "$command" "$@" ;;
esac
