#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Hostile peers, and waves of connects and disconnects, against a ConformanceServer and a suite of its
# own: prints the tables of docs/hostile-peers.md.
# usage: scripts/hostile.sh [layers] [chat] [waves] [ATTACK…]     HOSTILE_SECONDS: length of an attack (4)
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build test python
swift build -c release
ulimit -n "$(ulimit -Hn)"
BIN_DIR=$ROOT/.build/release exec .venv/bin/python Tests/Conformance/hostile.py "$@"
