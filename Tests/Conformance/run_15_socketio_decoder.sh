#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Our Socket.IO decoder and python-socketio's on the same 200,000 damaged packets: no difference but those
# that are written down with their reason.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/differential_socketio.py "$BIN_DIR/ProtocolTool" 200000
