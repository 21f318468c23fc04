#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Raw bytes against a ConformanceServer and the running ChatService: smuggled requests, pipelines that end
# in an upgrade, what is not a request at all.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/raw_requests.py
