#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Starts the suite on free ports in a directory of its own and runs other people's clients
# against it: every executable Tests/Conformance/run_*.sh, in order of name.
# usage: scripts/conformance.sh [--debug] [--redis] [NAME…]     NAME: part of a script's name
#
# Each of them finds CHAT_URL AUTH_URL NOTIFICATION_URL DATA_DIR BIN_DIR ACCOUNTS in its
# environment, and .venv/bin at the head of PATH. Its last line is its verdict.
source "$(dirname "$0")/lib.sh"

configuration=release redis=0 only=()
for argument in "$@"; do
    case $argument in
    --debug) configuration=debug ;;
    --redis) redis=1 ;;
    -*) die "unknown flag $argument (--debug --redis)" ;;
    *) only+=("$argument") ;;
    esac
done

scripts/setup.sh build test web python browser
services/frontend/build.sh
swift build -c "$configuration"

work=$(mktemp -d)
redis_pid=
finish() {
    stop_suite
    [ -z "$redis_pid" ] || kill "$redis_pid" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

flags=()
if [ "$redis" -eq 1 ]; then
    redis_port=$(free_ports 1)
    redis-server --bind 127.0.0.1 --port "$redis_port" --save '' --appendonly no \
        --dir "$work" >"$work/redis.log" 2>&1 &
    redis_pid=$!
    flags=(--redis-url "redis://127.0.0.1:$redis_port")
fi

start_suite "$ROOT/.build/$configuration" "$work/data" "${flags[@]}"
say "suite at $CHAT_URL (auth $AUTH_URL, notification $NOTIFICATION_URL)"
PATH=$ROOT/.venv/bin:$PATH
export PATH

failed=0 ran=0
for script in Tests/Conformance/run_*.sh; do
    [ -x "$script" ] || continue
    name=$(basename "$script" .sh)
    if [ "${#only[@]}" -gt 0 ]; then
        wanted=0
        for part in "${only[@]}"; do [[ $name == *"$part"* ]] && wanted=1; done
        [ "$wanted" -eq 1 ] || continue
    fi
    say "$name"
    ran=$((ran + 1))
    with_closing "${name#run_}" 'pass|documented|delivered|FAILED' limited 600 "$script" || failed=$((failed + 1))
    kill -0 "$SUITE_PID" 2>/dev/null || die "the suite ended during $name"
done

[ "$ran" -gt 0 ] || die "no client matched"
if [ "$failed" -ne 0 ]; then
    say "last lines of the suite"
    tail -n 40 "$SUITE_LOG"
    closing "conformance: $failed of $ran clients failed"
    exit 1
fi
closing "conformance: all $ran clients passed"
