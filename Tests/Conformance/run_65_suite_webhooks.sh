#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A message and a read receipt of the running suite, as webhooks judged by Standard Webhooks.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/suite_webhooks.py
