# SPDX-License-Identifier: MIT
"""Socket.IO protocol 5 against the `protocol` profile: joining, leaving, events, acknowledgements and
binary, and what ends the connection. Each over both transports."""

import asyncio
import base64
import json

from conformance import SEPARATOR, main, receive, test

PLACEHOLDER = [{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": 1}]


class WebSocketPeer:
    """Socket.IO packets over WebSocket."""

    @classmethod
    async def open(cls, client):
        self = cls()
        self.socket = await client.websocket()
        assert (await receive(self.socket))[0] == "0"
        return self

    async def send(self, *packets):
        for packet in packets:
            if isinstance(packet, bytes):
                await self.socket.send_bytes(packet)
            else:
                await self.socket.send_str("4" + packet)

    async def next(self):
        found = await receive(self.socket)
        return found[1:] if isinstance(found, str) else found

    async def ends(self, timeout=3):
        async with asyncio.timeout(timeout):
            while await receive(self.socket) is not None:
                pass

    async def nothing_for(self, seconds):
        try:
            found = await receive(self.socket, timeout=seconds)
        except TimeoutError:
            return
        raise AssertionError(found)


class PollingPeer:
    """Socket.IO packets over polling."""

    @classmethod
    async def open(cls, client):
        self = cls()
        self.client, self.sid, self.queue = client, await client.open(), []
        return self

    async def send(self, *packets):
        body = SEPARATOR.join(
            "b" + base64.b64encode(p).decode() if isinstance(p, bytes) else "4" + p for p in packets)
        await self.client.post(self.sid, body)

    async def next(self):
        while not self.queue:
            self.queue = [p for p in await self.client.packets(self.sid) if p != "1"]
        packet = self.queue.pop(0)
        return base64.b64decode(packet[1:]) if packet[0] == "b" else packet[1:]

    async def ends(self, timeout=3):
        async with asyncio.timeout(timeout):
            while True:
                status, text = await self.client.get(self.sid)
                if status == 400:
                    return
                if "2" in text.split(SEPARATOR):
                    await self.client.post(self.sid, "3")

    async def nothing_for(self, seconds):
        try:
            raise AssertionError(await asyncio.wait_for(self.next(), seconds))
        except TimeoutError:
            # The poll was cut, and with it the session: nothing may follow.
            return


def both(body):
    """Registers a test once a transport: `body(open)`, which opens a peer."""
    for peer in (WebSocketPeer, PollingPeer):
        async def run(client, peer=peer):
            await body(lambda: peer.open(client))
        run.__name__ = f"{body.__name__}_over_{peer.__name__[:-4].lower()}"
        test(run)


async def joined(open, namespace=""):
    peer = await open()
    await peer.send("0" + namespace)
    assert (await peer.next()).startswith("0" + namespace + "{")
    assert (await peer.next()).startswith("2" + namespace + '["auth"')
    return peer


# Joining

@both
async def the_main_namespace_is_joined(open):
    peer = await open()
    await peer.send("0")
    answer = await peer.next()
    assert answer[0] == "0" and list(json.loads(answer[1:])) == ["sid"], answer
    assert await peer.next() == '2["auth",{}]'


# Socket.IO 5, Connection: the object of CONNECT reaches the server's application
@both
async def the_handshake_carries_what_the_client_is(open):
    peer = await open()
    await peer.send('0{"token":"123","deep":{"a":[1,null,true,"é"]}}')
    assert list(json.loads((await peer.next())[1:])) == ["sid"]
    name, auth = json.loads((await peer.next())[1:])
    assert (name, auth) == ("auth", {"token": "123", "deep": {"a": [1, None, True, "é"]}})


@both
async def another_namespace_is_joined(open):
    for written in ("0/custom,", "0/custom"):
        peer = await open()
        await peer.send(written)
        answer = await peer.next()
        assert answer.startswith("0/custom,"), answer
        assert list(json.loads(answer[9:])) == ["sid"]
        assert await peer.next() == '2/custom,["auth",{}]'


@both
async def another_namespace_with_auth(open):
    peer = await open()
    await peer.send('0/custom,{"token":"abc"}')
    assert (await peer.next()).startswith("0/custom,{")
    assert await peer.next() == '2/custom,["auth",{"token":"abc"}]'


@both
async def several_namespaces_share_a_connection(open):
    peer = await joined(open)
    await peer.send("0/custom,")
    answers = [await peer.next(), await peer.next()]
    assert answers[0].startswith("0/custom,{") and answers[1].startswith("2/custom,"), answers
    await peer.send('2["message","main"]')
    assert await peer.next() == '2["message-back","main"]'


# Socket.IO 5, Connection: a socket's id is neither another namespace's nor the session's
@both
async def ids_differ_by_namespace_and_are_no_engine_ids(open):
    peer = await open()
    await peer.send("0", "0/custom,")
    found = []
    while len(found) < 2:
        packet = await peer.next()
        if packet[0] == "0":
            found.append(json.loads(packet[packet.index("{"):])["sid"])
    assert len(set(found)) == 2 and getattr(peer, "sid", None) not in found


@both
async def an_unknown_namespace_is_refused_and_the_connection_stays(open):
    peer = await open()
    for name in ("/random", "/rand?token=1", "/ü", "//", "/custom/"):
        await peer.send(f"0{name},")
        assert await peer.next() == f'4{name},' + '{"message":"Invalid namespace"}'
    await peer.send("0")
    assert (await peer.next()).startswith('0{"sid"')


@both
async def who_does_not_join_in_time_is_let_go(open):
    peer = await open()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await peer.ends()
    assert 0.8 < loop.time() - began < 1.6, loop.time() - began


@both
async def who_was_only_refused_is_let_go_too(open):
    peer = await open()
    await peer.send("0/random,")
    assert (await peer.next()).startswith("4/random,")
    await peer.ends()


# Socket.IO 5, Connection: a second CONNECT closes, over both transports
@both
async def a_namespace_is_joined_once(open):
    peer = await joined(open)
    await peer.send("0")
    await peer.ends()


# Socket.IO 5, Connection: before CONNECT nothing is taken, over both transports
@both
async def nothing_comes_before_joining(open):
    for packet in ('2["message"]', '212["message-with-ack"]', '312[]', "1", '4{"message":"no"}',
                   '2/custom,["message"]'):
        peer = await open()
        await peer.send(packet)
        await peer.ends()


@both
async def events_of_a_namespace_not_joined_end_the_connection(open):
    peer = await joined(open)
    await peer.send('2/custom,["message"]')
    await peer.ends()


@both
async def malformed_connects_end_the_connection(open):
    for packet in ('0"auth"', "0[]", "0null", "0{", '0{"a":}', "0{}{}", "0custom,"):
        peer = await open()
        await peer.send(packet)
        await dies_of(packet, peer)


async def dies_of(packet, peer):
    """Ends sooner than any timeout would end it."""
    try:
        await peer.ends(0.9)
    except TimeoutError:
        raise AssertionError(f"survived {packet[:60]!r}") from None


# Leaving

@both
async def leaving_has_no_answer_and_the_connection_stays(open):
    peer = await joined(open)
    await peer.send("1", "0/custom,")
    assert (await peer.next()).startswith("0/custom,{")


# Socket.IO 5, Disconnection: leaving one namespace leaves the others as they were
@both
async def leaving_another_namespace(open):
    peer = await joined(open)
    await peer.send("0/custom,")
    assert (await peer.next()).startswith("0/custom,{")
    assert (await peer.next()).startswith("2/custom,")
    await peer.send("1/custom,", '2["message","still here"]')
    assert await peer.next() == '2["message-back","still here"]'


@both
async def who_left_may_come_back(open):
    peer = await joined(open)
    for _ in range(5):
        await peer.send("1", "0")
        assert (await peer.next()).startswith('0{"sid"')
        assert await peer.next() == '2["auth",{}]'


# Socket.IO 5, Disconnection: an event for a namespace that was left closes
@both
async def events_after_leaving_end_the_connection(open):
    peer = await joined(open)
    await peer.send("1", '2["message"]')
    await peer.ends()


@both
async def who_has_left_every_namespace_is_let_go(open):
    peer = await joined(open)
    await peer.send("1")
    await peer.ends()


# Events

@both
async def events_come_back(open):
    peer = await joined(open)
    for text in ('1', '"two"', '{"three":[4]}', 'null', 'true', '1,"2",{"3":4}', '"a\\u20acß漢😀\\n"', '""',
                 '-0.5e10', '[[[[]]]]'):
        await peer.send(f'2["message",{text}]')
        back = await peer.next()
        assert json.loads(back[1:]) == ["message-back", *json.loads(f"[{text}]")], back
    await peer.send('2["message"]')
    assert await peer.next() == '2["message-back"]'


@both
async def events_with_white_space_are_json_as_well(open):
    peer = await joined(open)
    await peer.send('2[ "message" , 1 ]')
    assert json.loads((await peer.next())[1:]) == ["message-back", 1]


@both
async def a_number_may_be_an_events_name(open):
    peer = await joined(open)
    await peer.send('2[5,"x"]', '2["message","still"]')
    assert await peer.next() == '2["message-back","still"]'


@both
async def unknown_events_are_nothing(open):
    peer = await joined(open)
    await peer.send('2["whatever",1]', '299["whatever",1]', '2["message","still"]')
    assert await peer.next() == '2["message-back","still"]'


@both
async def answers_carry_the_number_they_answer(open):
    peer = await joined(open)
    for number in (0, 1, 456, 2**31, 2**53 - 1):
        await peer.send(f'2{number}["message-with-ack",1,"2",{{"3":[false]}}]')
        assert await peer.next() == f'3{number}[1,"2",{{"3":[false]}}]'
    await peer.send('27["message-with-ack"]')
    assert await peer.next() == "37[]"


# Socket.IO 5, Acknowledgement: an answer nobody waits for is passed over
@both
async def answers_nobody_waits_for_are_nothing(open):
    peer = await joined(open)
    await peer.send("30[]", '3999["x"]', "31[1]", '2["message","still"]')
    assert await peer.next() == '2["message-back","still"]'


@both
async def reserved_names_end_the_connection(open):
    for name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"):
        peer = await joined(open)
        await peer.send(f'2["{name}"]')
        await peer.ends()


# Socket.IO 5, Packet encoding: what is malformed closes, over both transports
@both
async def malformed_packets_end_the_connection(open):
    for packet in ("", "abc", "7", "9[]", "2", "2{}", "2[]", "2abc[\"x\"]", '2["message"', '2["message"]x',
                   "2[null]", "2[{}]", "2[[]]", "2[true]", '2"message"', "3", "3[]", "31", "31{}", "31x",
                   '2["message",]', "2['message']", '2[message]', '2["message",NaN]', "1{}x",
                   '2["mess\nage"]', '2["\\ud83"]', '21.5["message-with-ack"]', '2-1["message-with-ack"]'):
        peer = await joined(open)
        await peer.send(packet)
        await dies_of(packet, peer)


# Binary

@both
async def binary_comes_back(open):
    peer = await joined(open)
    await peer.send(
        '52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\1\2\3", b"\4\5\6")
    assert await peer.next() == (
        '52-["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    assert [await peer.next(), await peer.next()] == [b"\1\2\3", b"\4\5\6"]


@both
async def binary_inside_objects_and_out_of_order(open):
    peer = await joined(open)
    await peer.send(
        '52-["message",{"a":{"_placeholder":true,"num":1},"b":[{"_placeholder":true,"num":0}]}]', b"0", b"1")
    head = json.loads((await peer.next())[3:])
    assert head == ["message-back", {"a": PLACEHOLDER[1], "b": [PLACEHOLDER[0]]}], head
    assert [await peer.next(), await peer.next()] == [b"0", b"1"]


# Socket.IO 5, Binary: an answer may carry attachments
@both
async def binary_answers(open):
    peer = await joined(open)
    await peer.send(
        '52-789["message-with-ack",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\0", b"")
    assert await peer.next() == (
        '62-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    assert [await peer.next(), await peer.next()] == [b"\0", b""]


# Socket.IO 5, Limits: ten attachments, at the limit and one past it, over both transports
@both
async def ten_attachments_pass_and_eleven_do_not(open):
    for count in (10, 11):
        peer = await joined(open)
        places = ",".join('{"_placeholder":true,"num":%d}' % n for n in range(count))
        packets = [f'5{count}-["message",{places}]'] + [bytes([n]) for n in range(count)]
        if count == 10:
            await peer.send(*packets)
            assert (await peer.next()).startswith("510-")
            assert [await peer.next() for _ in range(10)] == [bytes([n]) for n in range(10)]
        else:
            await peer.send(packets[0])
            await peer.ends()


@both
async def a_large_attachment_crosses(open):
    peer = await joined(open)
    large = bytes(range(256)) * 2800
    await peer.send('51-["message",{"_placeholder":true,"num":0}]', large)
    assert (await peer.next()).startswith('51-["message-back"')
    assert await peer.next() == large


@both
async def text_while_attachments_are_due_ends_the_connection(open):
    peer = await joined(open)
    await peer.send('52-["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\1",
                    '2["message"]')
    await peer.ends()


@both
async def binary_when_none_is_due_ends_the_connection(open):
    peer = await joined(open)
    await peer.send(b"\1\2")
    await peer.ends()
    peer = await joined(open)
    await peer.send('51-["message",{"_placeholder":true,"num":0}]', b"1", b"2")
    await peer.ends()


@both
async def malformed_binary_packets_end_the_connection(open):
    for packet in ('5["message",{"_placeholder":true,"num":0}]', '5-["message"]', '5x-["message"]',
                   '51.5-["message"]', '5-1-["message"]', '51-', '51-{}', '51-["message",'):
        peer = await joined(open)
        await peer.send(packet)
        await dies_of(packet, peer)


@both
async def a_placeholder_that_stands_for_nothing_ends_the_connection(open):
    peer = await joined(open)
    await peer.send('51-["message",{"_placeholder":true,"num":1}]', b"x")
    await peer.ends()


@both
async def deep_json_ends_the_connection_and_not_the_server(open):
    peer = await joined(open)
    await peer.send('2["message",' + "[" * 50_000 + "]" * 50_000 + "]")
    await peer.ends()


@both
async def a_namespace_out_of_all_measure_ends_the_connection(open):
    peer = await open()
    await peer.send("0/" + "n" * 5000 + ",")
    await peer.ends()


# Socket.IO 5, Sending data: packets keep their order, over both transports
@both
async def order_is_kept(open):
    peer = await joined(open)
    await peer.send(*[f'2["message",{n}]' for n in range(300)])
    for n in range(300):
        assert await peer.next() == f'2["message-back",{n}]'


if __name__ == "__main__":
    main("protocol", "/socket.io/")
