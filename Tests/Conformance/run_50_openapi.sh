#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# swagger.yaml against the running services: every documented route answers as documented, and
# every route of the sources is documented.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 Tests/Conformance/openapi_test.py
