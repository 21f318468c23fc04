# SPDX-License-Identifier: MIT
"""Engine.IO protocol 4 against the `protocol` profile: handshake, both transports, heartbeat, closing,
upgrade, and what must be refused."""

import asyncio
import base64
import json

import aiohttp

from conformance import SEPARATOR, ends, main, receive, refused, test

UNKNOWN_TRANSPORT = {"code": 0, "message": "Transport unknown"}
UNKNOWN_SESSION = {"code": 1, "message": "Session ID unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
BAD_VERSION = {"code": 5, "message": "Unsupported protocol version"}


async def is_refused(client, expected, method="GET", **query):
    status, text, headers = await client.request(method, **query)
    assert (status, json.loads(text)) == (400, expected), (status, text)
    assert headers["content-type"].startswith("application/json"), headers


def check_open(text, upgrades):
    assert text[0] == "0", text
    opening = json.loads(text[1:])
    assert sorted(opening) == ["maxPayload", "pingInterval", "pingTimeout", "sid", "upgrades"]
    assert isinstance(opening["sid"], str) and opening["sid"]
    assert opening["upgrades"] == upgrades
    assert (opening["pingInterval"], opening["pingTimeout"]) == (300, 200)
    assert opening["maxPayload"] == 1_000_000
    return opening["sid"]


# Handshake, polling

# Engine.IO 4, Handshake: polling opens with the open packet as text/plain, which names websocket
@test
async def polling_opens(c):
    status, text, headers = await c.request()
    assert status == 200
    check_open(text, ["websocket"])
    assert headers["content-type"].lower() == "text/plain; charset=utf-8", headers
    assert headers["cache-control"] == "no-store"


@test
async def polling_opens_without_the_last_slash(c):
    status, text, _ = await c.request(url=c.url().replace("/engine.io/", "/engine.io"))
    assert status == 200
    check_open(text, ["websocket"])


@test
async def a_cache_buster_and_b64_are_nothing_to_us(c):
    status, text, _ = await c.request(t="OxY12", b64="1")
    assert status == 200
    check_open(text, ["websocket"])


# Engine.IO 4, Handshake: each session has an id of its own
@test
async def every_session_has_an_id_of_its_own(c):
    assert len({await c.open() for _ in range(50)}) == 50


# Engine.IO 4, Handshake: without EIO=4 the answer MUST be 400
@test
async def a_handshake_names_its_version(c):
    for version in (None, "", "1", "2", "3", "5", "abc", "44"):
        await is_refused(c, BAD_VERSION, EIO=version)


# Engine.IO 4, Handshake: without a known transport the answer MUST be 400
@test
async def a_handshake_names_its_transport(c):
    for transport in (None, "", "abc", "webtransport", "POLLING", "polling2"):
        await is_refused(c, UNKNOWN_TRANSPORT, transport=transport)


# Engine.IO 4, Handshake: what is no GET is refused with code 2
@test
async def a_handshake_is_a_get(c):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        await is_refused(c, BAD_METHOD, method)


# Engine.IO 4, Handshake: transport=websocket without an upgrade is refused with code 3
@test
async def websocket_needs_an_upgrade(c):
    await is_refused(c, BAD_REQUEST, transport="websocket")
    await is_refused(c, BAD_REQUEST, transport="websocket", sid=await c.open())


# Engine.IO 4, Handshake: an unknown sid is refused with code 1
@test
async def an_unknown_session_is_refused(c):
    for method in ("GET", "POST"):
        for sid in ("abc", "AAAAAAAAAAAAAAAAAAAA", "x" * 300, "%00", "..%2F"):
            await is_refused(c, UNKNOWN_SESSION, method, sid=sid)


@test
async def other_paths_are_not_ours(c):
    for path in ("/", "/engine.iox/", "/engine.io/other", "/socketio/"):
        status, _, _ = await c.request(url=c.server.url + path + "?EIO=4&transport=polling")
        assert status == 404, path


# Handshake, WebSocket

# Engine.IO 4, Handshake: WebSocket opens with the open packet, which names no upgrade
@test
async def websocket_opens(c):
    socket = await c.websocket()
    check_open(await receive(socket), [])


@test
async def a_websocket_handshake_names_version_and_transport(c):
    for query, message in (
            ({"EIO": "abc"}, "Unsupported protocol version"), ({"EIO": "3"}, "Unsupported protocol version"),
            ({"EIO": None}, "Unsupported protocol version"), ({"transport": None}, "Transport unknown"),
            ({"transport": "abc"}, "Transport unknown"), ({"sid": "abc"}, "Session ID unknown")):
        transport = query.pop("transport", "websocket")
        url = c.url
        c.url = lambda _=None, **rest: url(**{"transport": transport, **rest})
        status, body, lines = await refused(c, **query)
        c.url = url
        assert (status, body) == (400, message), (query, status, body)
        assert "content-type: text/html" in lines, lines


@test
async def an_upgrade_that_asks_for_polling_is_refused(c):
    url = c.url
    c.url = lambda _=None, **rest: url("polling", **rest)
    assert (await refused(c))[0] == 400
    assert (await refused(c, sid=await Opened(c, url).sid()))[0] == 400


class Opened:
    """Opens a session with the client's own way of building URLs."""

    def __init__(self, client, url):
        self.client, self.url = client, url

    async def sid(self):
        _, text, _ = await self.client.request(url=self.url())
        return json.loads(text[1:])["sid"]


@test
async def a_broken_websocket_handshake_is_answered_by_http(c):
    target = c.url("websocket")[len(c.server.url):]
    for lines, wanted in (
            ("Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 426),
            ("Sec-WebSocket-Version: 13\r\n", 400),
            ("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n", 400)):
        reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"{lines}\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 %d" % wanted), answer
        writer.close()


# Messages, polling

# Engine.IO 4, HTTP long-polling: a POST is answered with 200 and ok
@test
async def polling_carries_a_message_both_ways(c):
    sid = await c.open()
    status, text, headers = await c.request("POST", b"4hello", sid=sid)
    assert (status, text) == (200, "ok")
    assert headers["content-length"] == "2"
    assert await c.packets(sid) == ["4hello"]


# Engine.IO 4, HTTP long-polling: a GET waits until there is a packet
@test
async def a_waiting_poll_is_answered_by_what_comes(c):
    sid = await c.open()
    poll = asyncio.create_task(c.packets(sid))
    await asyncio.sleep(0.05)
    await c.post(sid, "4hello")
    assert await poll == ["4hello"]


# Engine.IO 4, HTTP long-polling: a body holds many packets, and their order stays
@test
async def one_body_holds_many_packets(c):
    sid = await c.open()
    wanted = [f"4test{n}" for n in range(1, 4)]
    assert await c.post(sid, SEPARATOR.join(wanted)) == (200, "ok")
    assert await c.packets(sid) == wanted
    wanted = [f"4{n}" for n in range(5000)]
    assert await c.post(sid, SEPARATOR.join(wanted)) == (200, "ok")
    got = []
    while len(got) < len(wanted):
        got += await c.packets(sid)
    assert got == wanted


@test
async def text_and_binary_share_a_body(c):
    sid = await c.open()
    body = SEPARATOR.join(["4test", "bAQIDBA==", "4more"])
    assert await c.post(sid, body) == (200, "ok")
    assert await c.packets(sid) == ["4test", "bAQIDBA==", "4more"]


@test
async def binary_of_every_length_comes_back(c):
    sid = await c.open()
    wanted = ["b" + base64.b64encode(bytes(range(n))).decode() for n in range(1, 40)]
    assert await c.post(sid, SEPARATOR.join(wanted)) == (200, "ok")
    assert await c.packets(sid) == wanted


@test
async def characters_of_every_width_cross(c):
    sid = await c.open()
    wanted = ["4a€ß漢字😀", "4пойду спать", "4\u0000\u007f\u0080", "4\ufeffbom", "4\u2028\u2029"]
    assert await c.post(sid, SEPARATOR.join(wanted)) == (200, "ok")
    assert await c.packets(sid) == wanted


@test
async def an_empty_message_is_a_message(c):
    sid = await c.open()
    assert await c.post(sid, "4") == (200, "ok")
    assert await c.packets(sid) == ["4"]


# Engine.IO 4, Limits: a body of maxPayload, at the limit and one past it: 413
@test
async def a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(c):
    sid = await c.open()
    assert await c.post(sid, "4" + "x" * 999_999) == (200, "ok")
    assert await c.packets(sid) == ["4" + "x" * 999_999]
    status, _ = await c.post(sid, "4" + "x" * 1_000_000)
    assert status == 413, status


@test
async def a_body_far_beyond_the_limit_is_refused_at_once(c):
    sid = await c.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    target = c.url(sid=sid)[len(c.server.url):]
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.startswith(b"HTTP/1.1 413"), answer
    writer.close()


# Engine.IO 4, HTTP long-polling: a malformed body is 400 and ends the session
@test
async def a_malformed_body_ends_the_session(c):
    for body in ("abc", "", "7x", "9", "4a" + SEPARATOR, SEPARATOR + "4a", "4a" + SEPARATOR * 2 + "4b",
                 "b!!!!", "bAQI", "bAQIDBA", b"4\xff\xfe", b"4\xed\xa0\x80"):
        sid = await c.open()
        assert (await c.post(sid, body))[0] == 400, body
        assert (await c.get(sid))[0] == 400, body


# Engine.IO 4, HTTP long-polling: a body of bytes is 400 and ends the session
@test
async def a_binary_body_is_refused_and_ends_the_session(c):
    sid = await c.open()
    status, _ = await c.post(sid, b"\x00\x01\x02", {"content-type": "application/octet-stream"})
    assert status == 400
    assert (await c.get(sid))[0] == 400


@test
async def packets_behind_a_close_are_for_nobody(c):
    sid = await c.open()
    assert (await c.post(sid, SEPARATOR.join(["4a", "1", "4b"])))[0] == 200
    assert (await c.get(sid))[0] == 400


@test
async def packets_of_the_wrong_direction_end_the_session(c):
    for packet in ("0", "0{}", "2", "2probe", "5"):
        sid = await c.open()
        await c.post(sid, packet)
        assert (await c.get(sid))[0] == 400, packet


@test
async def a_noop_is_nothing(c):
    sid = await c.open()
    assert await c.post(sid, SEPARATOR.join(["6", "4a"])) == (200, "ok")
    assert await c.packets(sid) == ["4a"]


@test
async def other_methods_for_a_session_are_refused(c):
    sid = await c.open()
    for method in ("PUT", "DELETE", "PATCH"):
        status, _, _ = await c.request(method, sid=sid)
        assert status in (400, 405, 500, 501), (method, status)
    assert await c.post(sid, "4a") == (200, "ok")


# Engine.IO 4, HTTP long-polling: of two GETs at once the second MUST end the session
@test
async def two_polls_at_once_end_the_session(c):
    sid = await c.open()
    first = asyncio.create_task(c.get(sid))
    await asyncio.sleep(0.05)
    assert (await c.get(sid))[0] in (400, 500)
    assert await first == (200, "1")
    assert (await c.get(sid))[0] == 400


# Engine.IO 4, HTTP long-polling: two POSTs at once end the session
@test
async def two_uploads_at_once_end_the_session(c):
    sid = await c.open()
    target = c.url(sid=sid)[len(c.server.url):]
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n".encode()
    first_reader, first = await asyncio.open_connection("127.0.0.1", c.server.port)
    first.write(head + b"4h")
    await asyncio.sleep(0.05)
    status, _ = await c.post(sid, "4other")
    if status == 200:
        # The first had not begun as far as the session knows: then it is an upload behind the other.
        first.write(b"ello")
        answer = await asyncio.wait_for(first_reader.readuntil(b"ok"), 3)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert sorted(await c.packets(sid)) == ["4hello", "4other"]
    else:
        assert status in (400, 500), status
        assert (await c.get(sid))[0] == 400
    first.close()


# Engine.IO 4, Closing: a GET that is cut off ends the session
@test
async def an_aborted_poll_ends_the_session(c):
    sid = await c.open()
    poll = asyncio.create_task(c.get(sid))
    await asyncio.sleep(0.05)
    poll.cancel()
    await asyncio.sleep(0.05)
    assert (await c.get(sid))[0] == 400


@test
async def an_aborted_upload_delivers_nothing(c):
    sid = await c.open()
    target = c.url(sid=sid)[len(c.server.url):]
    _, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half".encode())
    await writer.drain()
    writer.close()
    await asyncio.sleep(0.05)
    status, _ = await c.post(sid, "4whole")
    if status == 200:
        assert await c.packets(sid) == ["4whole"]


@test
async def a_chunked_upload_is_an_upload(c):
    sid = await c.open()

    async def pieces():
        yield b"4he"
        await asyncio.sleep(0.02)
        yield b"llo" + SEPARATOR.encode() + "4wör".encode()[:4]
        yield "4wör".encode()[4:] + b"ld"

    status, _, _ = await c.request("POST", pieces(), sid=sid)
    assert status == 200
    assert await c.packets(sid) == ["4hello", "4wörld"]


@test
async def pipelined_uploads_are_answered_in_order(c):
    sid = await c.open()
    target = c.url(sid=sid)[len(c.server.url):]
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    for n in range(10):
        writer.write(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n4{n}".encode())
    for _ in range(10):
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\nok"), 3)
    got = []
    while len(got) < 10:
        got += await c.packets(sid)
    assert got == [f"4{n}" for n in range(10)]
    writer.close()


# Messages, WebSocket

# Engine.IO 4, WebSocket: a frame is a packet, a binary one a message without a digit
@test
async def websocket_carries_text_and_binary_both_ways(c):
    socket = await c.websocket()
    await receive(socket)
    await socket.send_str("4hello")
    await socket.send_bytes(bytes([1, 2, 3, 4]))
    await socket.send_str("4")
    await socket.send_bytes(b"")
    assert [await receive(socket) for _ in range(4)] == ["4hello", bytes([1, 2, 3, 4]), "4", b""]


# Engine.IO 4, Limits: a message of maxPayload, at the limit and one past it: 1009
@test
async def websocket_carries_the_largest_and_no_larger(c):
    socket = await c.websocket()
    await receive(socket)
    await socket.send_bytes(b"x" * 1_000_000)
    assert await receive(socket) == b"x" * 1_000_000
    await socket.send_bytes(b"x" * 1_000_001)
    await ends(socket)
    assert socket.close_code == 1009, socket.close_code


# Engine.IO 4, WebSocket: what is no packet closes
@test
async def websocket_ends_on_what_is_no_packet(c):
    for text in ("abc", "", "7", "b", "bAQID", "0", "2", "5", "\u20ac"):
        socket = await c.websocket()
        await receive(socket)
        await socket.send_str(text)
        await ends(socket)


@test
async def websocket_keeps_thousands_in_order(c):
    socket = await c.websocket()
    await receive(socket)
    for n in range(3000):
        await socket.send_str(f"4{n}")
    assert [await receive(socket) for _ in range(3000)] == [f"4{n}" for n in range(3000)]


# Heartbeat

# Engine.IO 4, Heartbeat: polling is pinged and stays while it answers
@test
async def polling_is_pinged_and_stays_while_it_answers(c):
    sid = await c.open()
    for _ in range(4):
        assert await c.get(sid) == (200, "2")
        assert await c.post(sid, "3") == (200, "ok")


# Engine.IO 4, Heartbeat: polling that is silent is gone after pingInterval and pingTimeout
@test
async def polling_without_an_answer_is_gone_after_interval_and_timeout(c):
    sid = await c.open()
    await asyncio.sleep(0.5)
    assert (await c.get(sid))[0] == 400


@test
async def polling_with_a_poll_but_no_pong_is_gone_too(c):
    sid = await c.open()
    assert await c.get(sid) == (200, "2")
    await asyncio.sleep(0.25)
    assert (await c.get(sid))[0] == 400


# Engine.IO 4, Heartbeat: WebSocket is pinged and stays while it answers
@test
async def websocket_is_pinged_and_stays_while_it_answers(c):
    socket = await c.websocket()
    await receive(socket)
    for _ in range(4):
        assert await receive(socket, skip=()) == "2"
        await socket.send_str("3")
    assert not socket.closed


# Engine.IO 4, Heartbeat: WebSocket that is silent is gone after pingInterval and pingTimeout
@test
async def websocket_without_an_answer_is_gone(c):
    socket = await c.websocket()
    await receive(socket)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ends(socket)
    assert 0.35 < loop.time() - began < 0.8, loop.time() - began


@test
async def other_packets_are_signs_of_life_once_a_pong_is_due(c):
    socket = await c.websocket()
    await receive(socket)
    assert await receive(socket, skip=()) == "2"
    await asyncio.sleep(0.15)
    await socket.send_str("4alive")
    assert await receive(socket) == "4alive"
    await asyncio.sleep(0.1)
    await socket.send_str("3")
    await socket.send_str("4still")
    assert await receive(socket) == "4still"


# Closing

# Engine.IO 4, Closing: a close packet releases the waiting GET with a noop and ends the session
@test
async def polling_is_closed_by_a_close_packet(c):
    sid = await c.open()
    poll = asyncio.create_task(c.get(sid))
    await asyncio.sleep(0.05)
    assert await c.post(sid, "1") == (200, "ok")
    assert await poll == (200, "6")
    assert (await c.get(sid))[0] == 400
    assert (await c.post(sid, "4a"))[0] == 400


# Engine.IO 4, Closing: a close packet closes the WebSocket
@test
async def websocket_is_closed_by_a_close_packet(c):
    socket = await c.websocket()
    await receive(socket)
    await socket.send_str("1")
    await ends(socket)


@test
async def a_close_frame_is_echoed(c):
    socket = await c.websocket()
    await receive(socket)
    await socket.close(code=1000)
    assert socket.close_code == 1000


@test
async def a_connection_cut_ends_the_session(c):
    sid = await c.open()
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    await socket.send_str("5")
    await socket.send_str("4a")
    assert await receive(socket) == "4a"
    socket._response.connection.transport.abort()
    await asyncio.sleep(0.1)
    await is_refused(c, UNKNOWN_SESSION, sid=sid)


# Upgrade

async def upgraded(c):
    sid = await c.open()
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    await socket.send_str("5")
    return sid, socket


@test
async def polling_upgrades_to_websocket(c):
    _, socket = await upgraded(c)
    await socket.send_str("4hello")
    assert await receive(socket) == "4hello"
    await socket.send_bytes(b"\x01\x02")
    assert await receive(socket) == b"\x01\x02"


# Engine.IO 4, Upgrade: the server MUST release a waiting GET with a noop when it confirms the probe
@test
async def a_waiting_poll_is_released_by_the_probe(c):
    sid = await c.open()
    poll = asyncio.create_task(c.get(sid))
    await asyncio.sleep(0.05)
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    assert await poll == (200, "6")
    # A client that polls on while it probes is let go at once.
    assert await asyncio.wait_for(c.get(sid), 1) == (200, "6")
    await socket.send_str("5")
    await socket.send_str("4x")
    assert await receive(socket) == "4x"


# Engine.IO 4, Upgrade: polling for an upgraded session MUST be refused
@test
async def after_an_upgrade_polling_is_over(c):
    sid, socket = await upgraded(c)
    await socket.send_str("4x")
    assert await receive(socket) == "4x"
    await is_refused(c, BAD_REQUEST, sid=sid)
    await is_refused(c, BAD_REQUEST, "POST", sid=sid)
    await socket.send_str("4y")
    assert await receive(socket) == "4y"


# Engine.IO 4, Upgrade: a second WebSocket for an upgraded session is closed
@test
async def an_upgraded_session_takes_no_second_websocket(c):
    sid, socket = await upgraded(c)
    await socket.send_str("4x")
    assert await receive(socket) == "4x"
    second = await c.websocket(sid)
    await ends(second)
    await socket.send_str("4y")
    assert await receive(socket) == "4y"


@test
async def a_second_probe_is_turned_away(c):
    sid = await c.open()
    first = await c.websocket(sid)
    second = await c.websocket(sid)
    await ends(second)
    await first.send_str("2probe")
    assert await receive(first) == "3probe"
    await first.send_str("5")
    await first.send_str("4x")
    assert await receive(first) == "4x"


@test
async def a_websocket_session_takes_no_probe(c):
    socket = await c.websocket()
    sid = check_open(await receive(socket), [])
    second = await c.websocket(sid)
    await ends(second)
    await socket.send_str("4x")
    assert await receive(socket) == "4x"


# Engine.IO 4, Upgrade: a probe that fails leaves polling as it was
@test
async def a_failed_probe_leaves_polling_as_it_was(c):
    for text in ("2", "2prob", "3probe", "5", "4hello", "abc", "", "1", "6", b"\x01"):
        sid = await c.open()
        socket = await c.websocket(sid)
        await (socket.send_str(text) if isinstance(text, str) else socket.send_bytes(text))
        await ends(socket)
        assert await c.post(sid, "4still") == (200, "ok"), text
        assert await c.packets(sid) == ["4still"], text


@test
async def a_probe_that_closes_leaves_polling_as_it_was(c):
    for confirm in (False, True):
        sid = await c.open()
        socket = await c.websocket(sid)
        await socket.send_str("2probe")
        assert await receive(socket) == "3probe"
        if confirm:
            await socket.send_str("2probe")
            await ends(socket)
        else:
            await socket.close()
        await asyncio.sleep(0.02)
        assert await c.post(sid, "4still") == (200, "ok")
        assert await c.packets(sid) == ["4still"]
        again = await c.websocket(sid)
        await again.send_str("2probe")
        assert await receive(again) == "3probe"
        await again.send_str("5")
        await again.send_str("4x")
        assert await receive(again) == "4x"


# Engine.IO 4, Upgrade: what waits crosses in its order, text and binary
@test
async def what_waits_crosses_the_upgrade_in_order(c):
    sid = await c.open()
    for n in range(20):
        assert await c.post(sid, f"4{n}" if n % 3 else "b" + base64.b64encode(bytes([n])).decode()) == (200, "ok")
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    for n in range(20, 30):
        assert await c.post(sid, f"4{n}") == (200, "ok")
    await socket.send_str("5")
    for n in range(30, 40):
        await socket.send_str(f"4{n}")
    got = [await receive(socket) for _ in range(40)]
    assert got == [f"4{n}" if n % 3 or n >= 20 else bytes([n]) for n in range(40)], got


@test
async def an_upload_during_the_probe_is_answered_wherever_the_client_reads(c):
    sid = await c.open()
    socket = await c.websocket(sid)
    await socket.send_str("2probe")
    assert await receive(socket) == "3probe"
    assert await c.post(sid, "4early") == (200, "ok")
    assert await c.packets(sid) == ["4early"]
    await socket.send_str("5")
    await socket.send_str("4late")
    assert await receive(socket) == "4late"


@test
async def the_heart_beats_on_through_an_upgrade(c):
    _, socket = await upgraded(c)
    for _ in range(3):
        assert await receive(socket, skip=()) == "2"
        await socket.send_str("3")


# Cross-origin

# Engine.IO 4, CORS: a preflight is answered before anything else is judged
@test
async def a_preflight_is_answered(c):
    for method in ("GET", "POST", "PUT"):
        status, text, headers = await c.request("OPTIONS", headers={
            "origin": "https://page.example", "access-control-request-method": method,
            "access-control-request-headers": "x-custom"})
        assert (status, text) == (204, "")
        assert headers["access-control-allow-origin"] in ("*", "https://page.example")
        assert method in headers["access-control-allow-methods"]
        assert "x-custom" in headers["access-control-allow-headers"]


@test
async def answers_to_other_pages_say_that_they_may_be_read(c):
    page = {"origin": "https://page.example"}
    status, text, headers = await c.request(headers=page)
    assert status == 200 and headers["access-control-allow-origin"] in ("*", page["origin"])
    sid = json.loads(text[1:])["sid"]
    for method, body in (("POST", b"4a"), ("GET", None)):
        status, _, headers = await c.request(method, body, page, sid=sid)
        assert status == 200 and headers["access-control-allow-origin"] in ("*", page["origin"])
    status, _, headers = await c.request(headers=page, sid="unknown")
    assert status == 400 and headers["access-control-allow-origin"] in ("*", page["origin"])


@test
async def no_origin_no_cors_fields(c):
    _, _, headers = await c.request()
    assert "access-control-allow-origin" not in headers or headers["access-control-allow-origin"] == "*"


@test
async def a_malformed_origin_is_refused(c):
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    target = c.url()[len(c.server.url):]
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nOrigin: http://a\x01b\r\n\r\n".encode("latin-1"))
    answer = await asyncio.wait_for(reader.read(1000), 5)
    assert answer.startswith(b"HTTP/1.1 400"), answer
    writer.close()


# Bodies

@test
async def a_head_request_has_no_body(c):
    status, text, _ = await c.request("HEAD")
    assert (status, text) == (400, ""), (status, text)


@test
async def one_connection_serves_many_polls(c):
    sid = await c.open()
    target = c.url(sid=sid)[len(c.server.url):]
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    for n in range(5):
        await c.post(sid, f"4{n}")
        writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = (await reader.readexactly(length)).decode()
        assert f"4{n}" in body.split(SEPARATOR) or body == "2", body
        if body == "2":
            await c.post(sid, "3")
            assert await c.packets(sid) == [f"4{n}"]
    writer.close()


if __name__ == "__main__":
    main("protocol", "/engine.io/")
