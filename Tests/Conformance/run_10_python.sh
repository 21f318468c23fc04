#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# python-socketio, unmodified, against the running suite: WebSocket, polling, upgrade.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/python_client.py
