#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Load figures of this machine, beside the floors of the same machine. Arguments go to
# `chatctl bench`, for instance: scripts/bench.sh --clients 2000 --rate 400 --json bench.json
# Without any, what the parsers cost comes first.
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build
swift build -c release
[ $# -gt 0 ] || scripts/bench-parsers.sh
exec .build/release/chatctl bench "$@"
