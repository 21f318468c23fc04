#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official JavaScript client and python-socketio, unmodified, recover from services that are
# killed under them.
set -euo pipefail
cd "$(dirname "$0")/../.."
options=(--test --test-reporter=spec)
if node --help | grep -q -- --test-force-exit; then options+=(--test-force-exit); fi
python3 Tests/Conformance/recovery_python.py
exec node "${options[@]}" Tests/Conformance/recovery.test.mjs
