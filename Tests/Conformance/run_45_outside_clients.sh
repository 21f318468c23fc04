#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Clients that know nothing of Socket.IO: python websockets and curl, and h2load and wrk in HTTP/1.1
# where they are installed, against a ConformanceServer of each profile; curl and ranges of a file.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/outside_clients.py
