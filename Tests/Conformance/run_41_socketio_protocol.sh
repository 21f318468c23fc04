#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Socket.IO protocol 5 against a ConformanceServer: profile protocol.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/socketio_protocol.py
