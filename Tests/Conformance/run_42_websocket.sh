#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# WebSocket and permessage-deflate against a ConformanceServer, profile echo: tests of our own, then
# the cases of the Autobahn suite. Of its 216 compression cases the short half of each set is run,
# since all take five minutes: AUTOBAHN=all runs all 517.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 Tests/Conformance/websocket_test.py
exec python3 Tests/Conformance/autobahn.py
