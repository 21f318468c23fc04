#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# ChatService speaking HTTPS itself: what openssl s_client finds, curl and the official clients over
# https:// and wss://, a certificate changed under live clients, handshakes a second beside s_server.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/tls_checks.py
