#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzz targets that take more than one layer, and of JSON and JWT.

The other targets' seeds are bytes of their own tests. Seeds are small and say by their name what they reach;
what a fuzzer finds from them is kept outside the repository, findings become tests.
usage: scripts/fuzz-corpus.py            from the repository's root
"""
import base64
import hashlib
import hmac
import json
import os
import pathlib
import struct
import zlib

ROOT = pathlib.Path("Tests/FuzzCorpus")


def write(target, name, data):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


# JSON: each kind of value, each escape, the edges of numbers and nesting.
for name, text in {
    "kinds": '{"a":null,"b":true,"c":false,"d":-1.5e+3,"e":"x","f":[],"g":{}}',
    "escapes": r'"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800"',
    "numbers": "[0,-0,1e999,9223372036854775807,9223372036854775808,0.1,5.0,1E-7]",
    "utf8": '{"é":"日本😀"}',
    "deep": "[" * 32 + "]" * 32,
    "deeper": "[" * 33 + "]" * 33,
    "repeats": r'{"a":1,"\u0061":2}',
    "space": ' \t\r\n{ "a" : [ 1 , 2 ] } \n',
}.items():
    write("JSON", name, text)


# JWT: claims, headers and whole tokens signed with the target's key.
def part(data):
    return base64.urlsafe_b64encode(data.encode()).rstrip(b"=")


def token(header, claims):
    signed = part(header) + b"." + part(claims)
    tag = hmac.new(bytes([7] * 32), signed, hashlib.sha256).digest()
    return signed + b"." + base64.urlsafe_b64encode(tag).rstrip(b"=")


CLAIMS = {
    "iss": "i", "aud": "chat", "sub": "u_a", "client_id": "web", "exp": 1800000060, "iat": 1800000000,
    "jti": "j", "sid": "s", "scope": "chat notifications", "name": "ada", "roles": ["admin"],
}
claims = json.dumps(CLAIMS, separators=(",", ":"))
header = '{"alg":"HS256","typ":"at+jwt","kid":"k1"}'
write("JWT", "claims", claims)
write("JWT", "service", claims.replace("u_a", "client:chat-service").replace('"sid":"s",', ""))
write("JWT", "nbf", claims.replace("{", '{"nbf":1800000000,', 1))
write("JWT", "header", '{"kid":"k1","typ":"application/at+jwt","alg":"HS256"}')
write("JWT", "crit", '{"alg":"HS256","typ":"at+jwt","kid":"k1","crit":["b64"],"b64":false}')
write("JWT", "none", '{"alg":"none","typ":"at+jwt","kid":"k1"}')
write("JWT", "token", token(header, claims))
write("JWT", "unsigned", part(header) + b"." + part(claims) + b".")


# Connection: a cut, the options, then what a peer sends.
def request(line, *fields, body=b""):
    lines = [line + " HTTP/1.1", "Host: h", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def upgrade(query, *fields):
    return request(
        f"GET /socket.io/?EIO=4&transport=websocket{query}", "Connection: Upgrade", "Upgrade: websocket",
        "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *fields)


def frame(opcode, payload, final=True, rsv1=False, mask=b"\0\0\0\0"):
    if isinstance(payload, str):
        payload = payload.encode()
    first = opcode | (0x80 if final else 0) | (0x40 if rsv1 else 0)
    if len(payload) < 126:
        head = struct.pack("!BB", first, 0x80 | len(payload))
    else:
        head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def deflated(text):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9
OPEN = request("GET /socket.io/?EIO=4&transport=polling")
CLOSED = frame(CLOSE, struct.pack("!H", 1000) + b"bye")
EVENT = '42["message:send",{"room":"lobby","text":"héllo"}]'
BINARY_EVENT = '451-["bin",{"_placeholder":true,"num":0}]'


def post(*packets):
    return request(
        "POST /socket.io/?EIO=4&transport=polling&sid=s", body="\x1e".join(packets).encode())


for name, options, stream in [
    ("websocket", 0, upgrade("") + frame(TEXT, "40") + frame(TEXT, EVENT) + frame(TEXT, "3") + CLOSED),
    ("masked", 0, upgrade("") + frame(TEXT, "40{}", mask=b"abcd") + frame(TEXT, EVENT, mask=b"wxyz")),
    ("acks", 0, upgrade("") + frame(TEXT, "40/a,") + frame(TEXT, '42/a,7["x",1]') + frame(TEXT, "43/a,1[]")),
    ("binary", 0, upgrade("") + frame(TEXT, BINARY_EVENT) + frame(BINARY, b"\1\2\3") + CLOSED),
    ("fragments", 0, upgrade("") + frame(TEXT, EVENT[:9], final=False) + frame(PING, b"p")
        + frame(CONTINUATION, EVENT[9:]) + CLOSED),
    ("deflate", 1, upgrade("", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        + frame(TEXT, deflated(EVENT), rsv1=True) + frame(TEXT, deflated("41"), rsv1=True) + CLOSED),
    ("polling", 0, OPEN + post("40", EVENT) + request("GET /socket.io/?EIO=4&transport=polling&sid=s")
        + post("41", "1")),
    ("polling-binary", 0, OPEN + post(BINARY_EVENT, "b" + base64.b64encode(b"bytes").decode())),
    ("upgrade", 0, OPEN + post("40") + upgrade("&sid=s") + frame(TEXT, "2probe") + frame(TEXT, "5")
        + frame(TEXT, EVENT) + frame(TEXT, "1")),
    ("refused", 0, request("GET /socket.io/?EIO=3&transport=polling") + request("DELETE /socket.io/?transport=x")
        + request("HEAD /socket.io/?EIO=4&transport=websocket") + upgrade("&sid=t")),
    ("chunked", 0, OPEN + request("POST /socket.io/?EIO=4&transport=polling&sid=s", "Transfer-Encoding: chunked")
        + b"3;x=y\r\n42[\r\n4\r\n\"a\"]\r\n0\r\nA: b\r\n\r\n"),
]:
    for cut in (0, 77):
        write("Connection", f"{name}-{cut}", bytes([cut, options | (cut & 0xF0)]) + stream)


# Server: options, then a script of what up to four clients do (Sources/FuzzServer/FuzzServer.swift).
def say(client, data):
    return bytes([client << 6, len(data) & 255, len(data) >> 8]) + data


def act(client, number, *more):
    return bytes([client << 6 | number, *more])


def poll(*packets, sid="$0"):
    return request(f"POST /socket.io/?EIO=4&transport=polling&sid={sid}", body="\x1e".join(packets).encode())


def get(sid="$0"):
    return request(f"GET /socket.io/?EIO=4&transport=polling&sid={sid}")


def upgraded(client, *fields):
    return say(client, upgrade("", *fields)) + act(client, READ)


def texts(client, *packets):
    return b"".join(say(client, frame(TEXT, packet)) for packet in packets)


READ, SHUT, GONE, WAIT = 4, 5, 6, 7
HELLO = upgraded(0) + texts(0, "40") + act(0, READ)
TWO = HELLO + upgraded(1) + texts(1, "40") + act(1, READ)
for name, options, script in [
    ("echo", 0, HELLO + texts(0, '421["echo",{"a":1}]', '42["echo"]', "3", "2")),
    ("rooms", 0, TWO + texts(0, '42["join","a"]', '42["join","b"]') + texts(1, '42["join","a"]', '42["shout","b",1]',
        '42["tell","x"]', '42["leave","a"]') + act(0, READ)),
    ("asks", 0, TWO + texts(1, '42["join","a"]') + texts(0, '42["ask",1]', '427["question"]') + texts(1, '432["answer"]')
        + act(0, WAIT, 4) + act(0, READ)),
    ("binary", 0, TWO + texts(0, '451-["binary",{"_placeholder":true,"num":0}]') + say(0, frame(BINARY, b"\1\2\3"))
        + act(1, READ)),
    ("endings", 0, TWO + texts(0, '42["out"]', "40", '42["thrown"]') + texts(1, '42["away"]')),
    ("guarded", 0, upgraded(0) + texts(0, "40/guarded,{}", '40/guarded,{"key":"right"}', '42/guarded,["x"]', "41/guarded,",
        "40/nowhere,")),
    ("recovers", 2, HELLO + texts(0, '42["join","a"]', '42["tell",1]') + act(0, READ) + act(0, GONE) + upgraded(1)
        + texts(1, '40{"pid":"$4","offset":"1"}') + act(1, READ)),
    ("deflates", 1, upgraded(0, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits") + texts(0, "40")
        + say(0, frame(TEXT, deflated('42["tell","aaaaaaaaaaaaaaaa"]'), rsv1=True))),
    ("polling", 0, say(0, OPEN) + act(0, READ) + say(0, poll("40") + get()) + act(0, READ) + say(0, get())
        + say(1, poll('42["echo",1]', "b" + base64.b64encode(b"x").decode())) + act(0, READ)),
    ("upgrades", 0, say(0, OPEN) + act(0, READ) + say(0, poll("40")) + say(0, get()) + say(1, upgrade("&sid=$0"))
        + texts(1, "2probe") + act(0, READ) + texts(1, "5", '421["echo"]', "1")),
    ("silence", 0, HELLO + act(0, WAIT, 120) + act(0, READ) + texts(0, "3") + act(0, WAIT, 255)),
    ("slow", 0, TWO + texts(0, *['42["tell","' + "x" * 99 + '"]'] * 6) + act(1, SHUT) + act(0, READ)),
    ("http", 0, say(0, request("GET /text/a") + request("HEAD /text/b") + request("POST /echo", body=b"x" * 40)
        + request("PUT /echo") + request("GET /none", "Connection: close"))),
    ("expects", 0, say(0, request("POST /echo", "Expect: 100-continue", "Content-Length: 3")) + say(0, b"abc")
        + say(1, b"GET /") + act(1, WAIT, 255)),
]:
    write("Server", name, bytes([options]) + script)

print(sum(len(files) for _, _, files in os.walk(ROOT)), "seeds under", ROOT)
