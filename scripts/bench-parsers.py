#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's parsers on the bytes of `ProtocolTool vectors`, and the table of all parsers.

usage: bench-parsers.py measure <VECTORS       case, ns: python-socketio, python-engineio, websockets, json
       bench-parsers.py table OURS INSTRUCTIONS PYTHON NODE
"""
import sys
import timeit


def parsers():
    """What reads each kind of vector; a library that is missing leaves its kinds out."""
    found = {}
    try:
        from socketio.packet import Packet

        found["socketio"] = lambda data: (lambda text: lambda: Packet(encoded_packet=text))(data.decode())

        def binary(data):
            text, attachment = data.decode(), bytes(1024)
            return lambda: Packet(encoded_packet=text).add_attachment(attachment)

        found["socketio-binary"] = binary
    except ImportError:
        print("python-socketio is not installed", file=sys.stderr)
    try:
        from engineio import packet, payload

        found["engineio"] = lambda data: (lambda text: lambda: packet.Packet(encoded_packet=text))(data.decode())
        found["payload"] = lambda data: (lambda text: lambda: payload.Payload(encoded_payload=text))(data.decode())
    except ImportError:
        print("python-engineio is not installed", file=sys.stderr)
    try:
        from websockets.server import ServerProtocol

        def frame(data):
            protocol = ServerProtocol()
            protocol.state = protocol.state.__class__(1)
            protocol.parser = protocol.parse()
            next(protocol.parser)

            def read():
                protocol.receive_data(data)
                return protocol.events_received()

            assert len(read()) == 1
            return read

        found["frame"] = frame
    except (ImportError, AssertionError, AttributeError):
        print("websockets is not installed, or not one this knows", file=sys.stderr)
    import json

    found["json"] = lambda data: lambda: json.loads(data)
    return found


def measure():
    known = parsers()
    for line in sys.stdin:
        name, kind, digits = line.rstrip("\n").split("\t")
        if kind not in known:
            continue
        timer = timeit.Timer(known[kind](bytes.fromhex(digits)))
        rounds, _ = timer.autorange()
        rounds = max(1, rounds // 10)
        print(f"{name}\t{min(timer.repeat(7, rounds)) / rounds * 1e9:.0f}")


def table(ours, instructions, python, node):
    def others(path):
        return dict(line.rstrip("\n").split("\t")[:2] for line in open(path, encoding="utf-8"))

    instructions, python, node = others(instructions), others(python), others(node)
    print("| case | bytes | ns | instructions | allocations | python ns | node ns |\n|---|--:|--:|--:|--:|--:|--:|")
    for line in open(ours, encoding="utf-8"):
        name, size, ns, allocations = line.rstrip("\n").split("\t")
        counted = instructions.get(name, "no valgrind")
        print(f"| {name} | {size} | {ns} | {counted} | {allocations} | {python.get(name, '')} | {node.get(name, '')} |")


if sys.argv[1:2] == ["measure"]:
    measure()
elif sys.argv[1:2] == ["table"] and len(sys.argv) == 6:
    table(*sys.argv[2:])
else:
    sys.exit(__doc__)
