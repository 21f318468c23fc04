# SPDX-License-Identifier: MIT
# Sourced by the other scripts: where the repository is, how to speak, how to stop, how to start
# the suite on free ports. Needs bash.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

say() { printf '==> %s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# A runner's own last words. They go to standard output, and to the file CLOSING_LINES names, so
# that `make ci` can repeat them at its end.
closing() {
    printf '%s\n' "$*"
    [ -z "${CLOSING_LINES:-}" ] || printf '%s\n' "$*" >>"$CLOSING_LINES"
}

# Runs a command, shows its output, and hands the last line matching PATTERN to `closing`.
# usage: with_closing LABEL PATTERN COMMAND…
with_closing() {
    local label=$1 pattern=$2 log status=0 line
    shift 2
    log=$(mktemp)
    "$@" 2>&1 | tee "$log" || status=$?
    line=$(grep -aE "$pattern" "$log" | tail -n 1 | sed 's/\x1b\[[0-9;]*m//g') || line=
    rm -f "$log"
    closing "$label: ${line:-exit status $status}"
    return "$status"
}

# `timeout`, such that Ctrl-C at a terminal still reaches the command.
limited() { if [ -t 0 ]; then timeout --foreground -k 10 "$@"; else timeout -k 10 "$@"; fi; }

# N free TCP ports of the loopback interface, one a line. They are all held while being looked
# for, so they differ.
free_ports() {
    python3 - "$1" <<'PY'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in held:
    s.bind(("127.0.0.1", 0))
for s in held:
    print(s.getsockname()[1])
PY
}

# Starts the suite in a directory of its own and exports how to reach it:
# CHAT_URL AUTH_URL NOTIFICATION_URL DATA_DIR ACCOUNTS BIN_DIR SUITE_LOG.
# Webhooks may reach loopback receivers over http, because the test receivers are such.
# usage: start_suite BIN_DIR DATA_DIR [chatctl up flags…]
start_suite() {
    local bin=$1 data=$2 ports waited=0
    shift 2
    [ -x "$bin/chatctl" ] || die "$bin/chatctl is missing: run make release first"
    mapfile -t ports < <(free_ports 3)
    export BIN_DIR=$bin DATA_DIR=$data ACCOUNTS=$data/accounts.txt SUITE_LOG=$data/suite.log
    export CHAT_URL=http://127.0.0.1:${ports[0]}
    export AUTH_URL=http://127.0.0.1:${ports[1]}
    export NOTIFICATION_URL=http://127.0.0.1:${ports[2]}
    mkdir -p "$data"
    NOTIFICATION_ALLOW_NETWORKS=127.0.0.0/8 NOTIFICATION_ALLOW_HTTP=1 \
        "$bin/chatctl" up --data-dir "$data" --web-root "$ROOT/services/frontend/dist" \
        --chat-port "${ports[0]}" --auth-port "${ports[1]}" --notification-port "${ports[2]}" \
        "$@" >"$SUITE_LOG" 2>&1 </dev/null &
    SUITE_PID=$!
    until grep -q '^ready ' "$SUITE_LOG"; do
        kill -0 "$SUITE_PID" 2>/dev/null || {
            tail -n 40 "$SUITE_LOG" >&2
            die "the suite stopped before it was ready"
        }
        waited=$((waited + 1))
        [ "$waited" -lt 300 ] || {
            tail -n 40 "$SUITE_LOG" >&2
            die "the suite was not ready within 60 s"
        }
        sleep 0.2
    done
}

# Ends what start_suite began; safe to call twice and from a trap.
stop_suite() {
    [ -n "${SUITE_PID:-}" ] || return 0
    kill -TERM "$SUITE_PID" 2>/dev/null || true
    wait "$SUITE_PID" 2>/dev/null || true
    SUITE_PID=
}
