#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a frame and a packet cost in each protocol layer, beside Python's and Node's parsers on the same bytes.
# A parser that is not installed is left out and said so.
source "$(dirname "$0")/lib.sh"
swift build -c release --product ProtocolTool
tool=.build/release/ProtocolTool
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$tool" bench >"$work/ours"
"$tool" vectors >"$work/vectors"
python=.venv/bin/python
[ -x "$python" ] || python=python3
"$python" scripts/bench-parsers.py measure <"$work/vectors" >"$work/python" || : >"$work/python"
client=services/frontend/node_modules/socket.io-client/socket.io.min.js
node scripts/bench-parsers.mjs "$client" <"$work/vectors" >"$work/node" || : >"$work/node"
"$python" scripts/bench-parsers.py table "$work/ours" "$work/python" "$work/node"
