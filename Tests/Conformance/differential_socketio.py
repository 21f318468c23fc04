#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Our Socket.IO decoder beside python-socketio's, over seeded mutations of sound packets.

Reports every input on which the two differ in a way that is not in INTENDED, and fails then. Ours is reached
through `ProtocolTool decode-socketio`.
usage: differential_socketio.py PROTOCOL_TOOL [COUNT] [SEED]        prints its seed; the default is 200000, today's
"""
import collections
import datetime
import json
import random
import subprocess
import sys

from socketio.packet import Packet

RESERVED = {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}

CORPUS = [
    ["0"], ["0{}"], ['0{"token":"123"}'], ["0/admin,"], ["0/custom"], ['0/a,{"sid":"x"}'], ["1"], ["1/admin,"],
    ['2["foo"]'], ['2/admin,["bar"]'], ['212["foo"]'], ['2/admin,456["project:delete",123]'], ['2[1,{"a":[null]}]'],
    ['2["h\u00e9llo","\u4e16\u754c\U0001f600"]'], ['2["a",{"b":{"c":[1.5e3,-0,true,false]}}]'], ["3/admin,456[]"],
    ['312["bar"]'], ['4{"message":"no"}'], ['4/r,{"message":"Invalid namespace"}'], ['4"no"'],
    ['51-["a",{"_placeholder":true,"num":0}]', b"\1\2"],
    ['52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]', b"\1", b""],
    ['51-/n,7["a",{"b":{"_placeholder":true,"num":0}}]', b"xyz"], ['61-/admin,15[{"_placeholder":true,"num":0}]', b"\3"],
    ['2["a"]', '2["b"]', "1"],
]
PIECES = list("0123456789-,/[]{}\"\\:?. tfnue+\u00b2\u0663\ufeff\x00\x1e\x7f") + [
    '"connect"', '"_placeholder":true', '"num":0', '{"_placeholder":true,"num":1}', "null", "1e999", "NaN",
    "Infinity", "\\ud800", "\\u0000", "10-", "999999999999999999999", "/a?b=c,", "[" * 40, "]" * 40,
]


def mutate(random_, case):
    case = list(case)
    for _ in range(random_.choice((0, 1, 1, 2, 3))):
        index = random_.randrange(len(case))
        message = case[index]
        if isinstance(message, bytes):
            action = random_.randrange(3)
            if action == 0:
                case.pop(index)
            elif action == 1:
                case.insert(index, message)
            else:
                case[index] = bytes(random_.randrange(256) for _ in range(random_.randrange(5)))
            if not case:
                return ["2"]
            continue
        at = random_.randrange(len(message) + 1)
        action = random_.randrange(5)
        if action == 0:
            message = message[:at] + random_.choice(PIECES) + message[at:]
        elif action == 1:
            message = message[:at] + message[at + 1:]
        elif action == 2:
            message = message[:at] + random_.choice(PIECES) + message[at + 1:]
        elif action == 3:
            message = message[:at]
        else:
            other = random_.choice(random_.choice(CORPUS))
            message = message[:at] + (other[len(other) // 2:] if isinstance(other, str) else "")
        case[index] = message
        if random_.random() < 0.02:
            case.insert(index, random_.choice(["2[\"x\"]", b"\7"]))
    return case


def theirs(case):
    """What python-socketio's packet parser says, driven as its server drives it."""
    said, pending = [], None
    for message in case:
        try:
            if pending is not None:
                if isinstance(message, str):
                    raise ValueError("text where an attachment is due")
                if pending.add_attachment(message):
                    said.append(describe(pending))
                    pending = None
                else:
                    said.append({"awaiting": True})
                continue
            if isinstance(message, bytes):
                raise ValueError("binary where none is due")
            packet = Packet(encoded_packet=message)
            if not 0 <= packet.packet_type <= 6:
                raise ValueError("unknown packet type")
            if packet.packet_type in (5, 6) and packet.attachment_count > 0:
                pending = packet
                said.append({"awaiting": True})
            else:
                said.append(describe(packet))
        except Exception as error:  # noqa: BLE001: whatever it throws, its server drops the client
            said.append({"error": type(error).__name__})
            return said
    return said


def describe(packet):
    return {"type": packet.packet_type, "nsp": packet.namespace or "/", "id": packet.id, "data": packet.data}


def read(step):
    """Our step in their terms: JSON read by the same parser, attachments put in their places."""
    if "type" not in step:
        return step
    data = None if step["data"] is None else json.loads(step["data"])
    files = [bytes.fromhex(text) for text in step["attachments"]]
    if files:
        data = Packet.reconstruct_binary(data, files)
    return {"type": step["type"], "nsp": step["nsp"], "id": step["id"], "data": data}


def strict(step):
    """Why we refuse a packet that python-socketio's parser lets through; None when we should not."""
    kind, data = step["type"], step["data"]
    if kind in (2, 5) and not (isinstance(data, list) and data):
        return "an event's payload is a non-empty array; python checks when it handles the event"
    if kind in (2, 5) and (isinstance(data[0], bool) or not isinstance(data[0], (str, int, float))):
        return "an event's name is a string or a number"
    if kind in (2, 5) and data[0] in RESERVED:
        return "reserved event names, as in the reference parser"
    if kind in (3, 6) and (step["id"] is None or not isinstance(data, list)):
        return "an ack has an id and an array"
    if kind == 0 and data is not None and not isinstance(data, dict):
        return "CONNECT's payload is an object"
    if kind == 1 and data is not None:
        return "DISCONNECT has no payload"
    if kind == 4 and not isinstance(data, (dict, str)):
        return "CONNECT_ERROR's payload is an object or a string"
    if step["id"] is not None and step["id"] > 2**63 - 1:
        return "ack ids fit 63 bits"
    if len(step["nsp"].encode()) > 256:
        return "a namespace has at most 256 bytes"
    return None


def intended(case, ours, their):
    """The reason why two answers may differ here; None when there is none."""
    text = case[len(their) - 1] if len(their) <= len(case) else ""
    pair = ours[-1], their[-1]
    said = "".join(message for message in case if isinstance(message, str))
    if "error" in pair[0]:
        first = next((message for message in case if isinstance(message, str)), "")
        if any(word in said for word in ("NaN", "Infinity")):
            return "NaN and Infinity are no JSON (RFC 8259 §6); python's json takes them"
        if not said.isascii() and any(c.isdigit() and not c.isascii() for c in said):
            return "only ASCII digits are digits; python's isdigit takes others"
        if any(c in said for c in "\x00\x7f\t\n") and pair[0]["error"] == "invalid_payload":
            return "control characters in strings are no JSON"
        if "[" * 20 in said:
            return "nesting is limited"
        if pair[0]["error"] in ("malformed_attachment_count", "too_many_attachments", "illegal_placeholder"):
            return "attachments: 1 to 10, digits and a dash, each placeholder names one"
        if pair[0]["error"] == "unexpected_binary" and first[:1] in "56":
            return "a binary packet without attachments"
        if pair[0]["error"] == "invalid_payload" and "-" in text and text[:1] not in "56":
            return "only binary packets announce attachments"
        if "type" in pair[1]:
            if pair[1]["data"] is None and text.endswith("null"):
                return "null is a payload, which CONNECT and DISCONNECT do not take"
            return strict(pair[1])
        if "awaiting" in pair[1]:
            packet = Packet(encoded_packet=text) if isinstance(text, str) else None
            return strict(describe(packet)) if packet else None
        return None
    if "error" in pair[1]:
        if "type" in pair[0] and (pair[0]["id"] or 0) >= 10**100:
            return "python bounds the digits of an ack id"
        return None
    if "?" in said and {**pair[0], "nsp": ""} == {**pair[1], "nsp": ""}:
        return "a query behind a namespace is dropped by python, part of the name to us as to the reference"
    if text[:1] not in "56" and "-" in text:
        return "only binary packets announce attachments"
    return None


def main():
    tool = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else int(datetime.date.today().strftime("%Y%m%d"))
    print(f"seed {seed}, {count} inputs")
    random_ = random.Random(seed)
    cases = [list(case) for case in CORPUS] + [mutate(random_, random_.choice(CORPUS)) for _ in range(count)]

    def word(message):
        return "t" + message.encode().hex() if isinstance(message, str) else "b" + message.hex()

    lines = "\n".join(" ".join(map(word, case)) for case in cases) + "\n"
    output = subprocess.run([tool, "decode-socketio"], input=lines, text=True, capture_output=True, check=True)
    answers = output.stdout.splitlines()
    assert len(answers) == len(cases), f"{len(answers)} answers to {len(cases)} inputs"

    reasons, failures, agreed, taken = collections.Counter(), [], 0, 0
    for case, answer in zip(cases, answers):
        ours = [read(step) for step in json.loads(answer)]
        their = theirs(case)
        both_refuse = "error" in ours[-1] and "error" in their[-1]
        if both_refuse and len(ours) == len(their) and ours[:-1] == their[:-1] or repr(ours) == repr(their):
            agreed += 1
            taken += "error" not in ours[-1]
            continue
        # Up to the first difference both say the same.
        index = next((i for i, pair in enumerate(zip(ours, their)) if repr(pair[0]) != repr(pair[1])),
                     min(len(ours), len(their)) - 1)
        if "error" in ours[index] and "error" in their[index]:
            agreed += 1
            continue
        reason = intended(case, ours[: index + 1], their[: index + 1])
        if reason is None:
            failures.append((case, ours[index], their[index]))
        reasons[reason] += 1
    print(f"{agreed} alike, {taken} of them taken by both")
    for reason, number in reasons.most_common():
        print(f"{number:7} {reason or 'NOT INTENDED'}")
    for case, ours, their in failures[:20]:
        print(f"differs: {case!r}\n   ours   {ours!r}\n   theirs {their!r}", file=sys.stderr)
    if failures:
        sys.exit(f"differential: {len(failures)} differences that are not intended")
    print("differential: no difference that is not intended")


main()
