#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official JavaScript client and python-socketio against a ConformanceServer: profile support.
set -euo pipefail
cd "$(dirname "$0")/../.."
server=$(mktemp)
"${BIN_DIR:-.build/release}/ConformanceServer" --profile support --port 0 >"$server" &
trap 'kill $!; rm -f "$server"' EXIT
until grep -q ready "$server"; do sleep 0.05; done
SUPPORT_URL=$(cut -d' ' -f2 "$server")
export SUPPORT_URL
options=(--test --test-reporter=spec)
if node --help | grep -q -- --test-force-exit; then options+=(--test-force-exit); fi
failed=0
log=$(node "${options[@]}" Tests/Conformance/client_suite.test.mjs) || failed=1
printf '%s\n' "$log"
python3 Tests/Conformance/client_suite.py || failed=1
printf 'client suite: %s passed, %s failed, both clients\n' \
    "$(sed -n 's/^. pass //p' <<<"$log")" "$(sed -n 's/^. fail //p' <<<"$log")"
exit "$failed"
