#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Engine.IO protocol 4 against a ConformanceServer: profiles protocol and engine.
set -euo pipefail
cd "$(dirname "$0")/../.."
python3 Tests/Conformance/engine_profile.py
exec python3 Tests/Conformance/engineio_protocol.py
