#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Webhooks against the reference verifier, with receivers that fail and a service that is killed.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/webhooks_receiver.py
