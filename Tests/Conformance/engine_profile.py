# SPDX-License-Identifier: MIT
"""What the Engine.IO client's own tests need of a server, against the `engine` profile: cookies of the
first answer, refusal by rule, headers of an upload, a small payload limit."""

import asyncio
import base64
import json

import aiohttp

from conformance import SEPARATOR, ends, main, receive, refused, test

COOKIES = ["1=1; Max-Age=86400", "2=2; Path=/; HttpOnly; Secure; SameSite=Strict", "3=3; Max-Age=0",
           "4=4; Expires=now"]


@test
async def the_first_answer_alone_sets_cookies(c):
    status, text, headers = await c.request()
    assert status == 200 and headers.getall("set-cookie") == COOKIES, headers
    opening = json.loads(text[1:])
    assert (opening["maxPayload"], opening["pingInterval"]) == (100, 500)
    for method, body in (("GET", None), ("POST", b"4a"), ("GET", None)):
        _, _, headers = await c.request(method, body, sid=opening["sid"])
        assert "set-cookie" not in headers, headers


@test
async def an_upgrade_that_opens_sets_cookies_too(c):
    socket = await c.websocket()
    assert socket._response.headers.getall("set-cookie") == COOKIES
    sid = await c.open()
    socket = await c.websocket(sid)
    assert "set-cookie" not in socket._response.headers


@test
async def the_greeting_comes_behind_the_open_packet(c):
    sid = await c.open()
    assert await c.packets(sid) == ["4hi"]
    socket = await c.websocket()
    assert (await receive(socket))[0] == "0"
    assert await receive(socket) == "4hi"


@test
async def the_rule_refuses_who_asks_to_be(c):
    status, text, _ = await c.request(deny="1")
    assert (status, json.loads(text)) == (403, {"code": 4, "message": "Forbidden"})
    status, body, _ = await refused(c, deny="1")
    assert (status, body) == (400, "Forbidden")


@test
async def headers_of_an_upload_are_told(c):
    sid = await c.open()
    assert await c.packets(sid) == ["4hi"]
    await c.post(sid, "4sendHeaders", {"cookie": "1=1; 2=2", "x-custom": "yes"})
    packet, = await c.packets(sid)
    headers = json.loads(packet[1:])
    assert headers["cookie"] == "1=1; 2=2" and headers["x-custom"] == "yes", headers
    assert headers["content-length"] == "12"


@test
async def binary_and_wide_characters_on_both_transports(c):
    sid = await c.open()
    assert await c.packets(sid) == ["4hi"]
    await c.post(sid, "4give binary")
    assert await c.packets(sid) == ["b" + base64.b64encode(bytes(range(5))).decode()]
    await c.post(sid, "4give utf8")
    assert await c.packets(sid) == ["4пойду спать всем спокойной ночи"]
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    await socket.send_str("5")
    await socket.send_str("4give binary")
    assert await receive(socket) == bytes(range(5))
    await socket.send_str("4give utf8")
    assert await receive(socket) == "4пойду спать всем спокойной ночи"


@test
async def one_hundred_bytes_pass_and_no_more(c):
    sid = await c.open()
    assert await c.packets(sid) == ["4hi"]
    assert await c.post(sid, "4" + "x" * 99) == (200, "ok")
    assert await c.packets(sid) == ["4" + "x" * 99]
    binary = "b" + base64.b64encode(bytes(74)).decode()
    assert len(binary) == 101
    assert (await c.post(sid, binary))[0] == 413
    socket = await c.websocket()
    assert [(await receive(socket))[:1], await receive(socket)] == ["0", "4hi"]
    await socket.send_str("4" + "x" * 99)
    assert await receive(socket) == "4" + "x" * 99
    await socket.send_str("4" + "x" * 100)
    await ends(socket)
    assert socket.close_code == 1009


@test
async def pages_may_send_cookies(c):
    headers = {"origin": "https://page.example"}
    _, _, answer = await c.request(headers=headers)
    assert answer["access-control-allow-credentials"] == "true"
    assert answer["access-control-allow-origin"] == "https://page.example"


@test
async def an_aborted_open_leaves_nothing_that_hurts(c):
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
        target = c.url()[len(c.server.url):]
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        writer.transport.abort()
    assert await c.packets(await c.open()) == ["4hi"]


if __name__ == "__main__":
    main("engine", "/engine.io/")
