#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# All Swift tests (debug, in parallel) and the web client's unit tests.
# Arguments go to `swift test`, e.g. scripts/test.sh --filter WebSocketTests
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build test web
swift build --build-tests
with_closing "swift test" 'Test run with' \
    limited 1200 swift test --skip-build --disable-xctest "$@"
if [ $# -eq 0 ]; then
    with_closing "web client tests" '^(# |ℹ )pass ' \
        limited 600 services/frontend/build.sh --test
fi
