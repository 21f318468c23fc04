#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The web client in two real browsers against the running suite.
set -euo pipefail
cd "$(dirname "$0")"
exec python3 browser/chat_test.py ${ARTIFACTS:+--artifacts "$ARTIFACTS"}
