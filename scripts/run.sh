#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets up, builds for release and starts the suite with nothing but SQLite. Data lives in ./data.
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build web
say "building the web client"
services/frontend/build.sh
say "building the services (release)"
swift build -c release
exec .build/release/chatctl up --data-dir ./data --web-root services/frontend/dist "$@"
