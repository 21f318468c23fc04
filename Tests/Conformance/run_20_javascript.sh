#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official JavaScript client in Node 18 or newer, unmodified, against the running suite.
set -euo pipefail
cd "$(dirname "$0")/../.."
options=(--test --test-reporter=spec)
# Idle keep-alive connections would hold the process for a minute; Node 18 cannot be told so.
if node --help | grep -q -- --test-force-exit; then options+=(--test-force-exit); fi
exec node "${options[@]}" Tests/Conformance/javascript_client.test.mjs
