#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Starts the suite, lets two people chat in a browser, and writes docs/images/chat.png.
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build test web python browser
services/frontend/build.sh
swift build -c release
work=$(mktemp -d)
trap 'stop_suite; rm -rf "$work"' EXIT
start_suite "$ROOT/.build/release" "$work/data"
PATH=$ROOT/.venv/bin:$PATH python3 Tests/Conformance/browser/screenshot.py --out docs/images/chat.png
say "wrote docs/images/chat.png"
