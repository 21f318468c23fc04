#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The official JavaScript client in Node, unmodified, against the running suite.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec node --test --test-force-exit --test-reporter=spec Tests/Conformance/javascript_client.test.mjs
