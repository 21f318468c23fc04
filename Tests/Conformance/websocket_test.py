# SPDX-License-Identifier: MIT
"""RFC 6455 and RFC 7692 against the `echo` profile, frame by frame over a bare socket: what Autobahn does
not ask, or asks with less force."""

import asyncio
import os
import struct
import zlib

from conformance import main, test

HANDSHAKE = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Wire:
    """One raw connection."""

    @classmethod
    async def open(cls, client, extensions=None, **changed):
        self = cls()
        self.reader, self.writer = await asyncio.open_connection(
            "127.0.0.1", client.server.port, limit=1 << 26)
        fields = {**HANDSHAKE, **({"Sec-WebSocket-Extensions": extensions} if extensions else {})}
        for name, value in changed.items():
            fields[name.replace("_", "-")] = value
        head = "".join(f"{k}: {v}\r\n" for k, v in fields.items() if v is not None)
        self.writer.write(f"GET /any/path?x HTTP/1.1\r\n{head}\r\n".encode())
        self.head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        self.status = int(self.head.split()[1])
        return self

    def field(self, name):
        for line in self.head.split("\r\n"):
            if line.lower().startswith(name.lower() + ":"):
                return line.split(":", 1)[1].strip()
        return None

    def send(self, opcode, payload=b"", final=True, rsv=0, mask=True, length_form=None):
        head = bytes([(0x80 if final else 0) | rsv << 4 | opcode])
        bit = 0x80 if mask else 0
        count = len(payload)
        form = length_form or (7 if count < 126 else 16 if count < 65536 else 64)
        head += (bytes([bit | count]) if form == 7 else bytes([bit | 126]) + struct.pack(">H", count)
                 if form == 16 else bytes([bit | 127]) + struct.pack(">Q", count))
        if mask:
            key = os.urandom(4)
            wide = (key * (count // 4 + 1))[:count]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(wide, "big")).to_bytes(count, "big")
            head += key
        self.writer.write(head + payload)

    async def frame(self):
        """First byte and payload of the next frame; None at the connection's end."""
        try:
            first, length = await self.reader.readexactly(2)
            assert not length & 0x80, "a server's frame is masked"
            if length == 126:
                length, = struct.unpack(">H", await self.reader.readexactly(2))
            elif length == 127:
                length, = struct.unpack(">Q", await self.reader.readexactly(8))
            return first, await self.reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def closes_with(self, code):
        while True:
            frame = await asyncio.wait_for(self.frame(), 5)
            assert frame is not None, "ended without a close frame"
            if frame[0] & 15 == CLOSE:
                break
        got = struct.unpack(">H", frame[1][:2])[0] if frame[1] else None
        assert got == code, (got, code)
        assert await asyncio.wait_for(self.reader.read(), 5) == b""


async def echoes(wire, opcode, payload):
    wire.send(opcode, payload)
    assert await wire.frame() == (0x80 | opcode, payload)


# Handshake

@test
async def the_accept_value_is_the_rfcs_own(c):
    wire = await Wire.open(c)
    assert wire.status == 101
    assert wire.field("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert wire.field("sec-websocket-extensions") is None
    assert wire.field("sec-websocket-protocol") is None


# RFC 6455 §4.2.1: Connection and Upgrade are lists, read without case
@test
async def fields_are_read_without_case_and_as_lists(c):
    wire = await Wire.open(c, Connection="keep-alive, UPGRADE", Upgrade="WebSocket")
    assert wire.status == 101
    await echoes(wire, TEXT, b"x")


@test
async def broken_handshakes_are_refused(c):
    for changed, status in (
            ({"Upgrade": None}, 426), ({"Connection": None}, 426), ({"Connection": "close"}, 426),
            ({"Upgrade": "h2c"}, 426), ({"Sec_WebSocket_Version": "8"}, 426),
            ({"Sec_WebSocket_Version": None}, 426), ({"Sec_WebSocket_Key": None}, 400),
            ({"Sec_WebSocket_Key": "AAAA"}, 400), ({"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ="}, 400),
            ({"Host": None}, 400)):
        wire = await Wire.open(c, **changed)
        assert wire.status == status, (changed, wire.head)
        if status == 426 and "Sec_WebSocket_Version" in changed:
            assert wire.field("sec-websocket-version") == "13"


# RFC 6455 §5.1: what stands behind the handshake's last byte is the first frame
@test
async def frames_may_follow_the_handshake_at_once(c):
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    head = "".join(f"{k}: {v}\r\n" for k, v in HANDSHAKE.items())
    writer.write(f"GET / HTTP/1.1\r\n{head}\r\n".encode() + b"\x81\x82\0\0\0\0hi")
    await reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(4), 3) == b"\x81\x02hi"
    writer.close()


# RFC 6455 §4.2.1: a handshake is the same in single bytes, over a socket
@test
async def a_handshake_byte_by_byte(c):
    reader, writer = await asyncio.open_connection("127.0.0.1", c.server.port)
    head = "".join(f"{k}: {v}\r\n" for k, v in HANDSHAKE.items())
    for byte in f"GET / HTTP/1.1\r\n{head}\r\n".encode() + b"\x81\x82\0\0\0\0hi":
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    await reader.readuntil(b"\r\n\r\n")
    assert await asyncio.wait_for(reader.readexactly(4), 3) == b"\x81\x02hi"
    writer.close()


# Compression is agreed on

@test
async def offers_of_compression_are_answered_as_they_may_be(c):
    for offer, answer in (
            ("permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; client_max_window_bits", "permessage-deflate"),
            ("permessage-deflate; server_no_context_takeover",
             "permessage-deflate; server_no_context_takeover"),
            ("permessage-deflate; client_no_context_takeover", None),
            ("permessage-deflate; server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
            ("permessage-deflate; server_max_window_bits=8", "permessage-deflate; server_max_window_bits=8"),
            ("permessage-deflate; server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
            ("permessage-deflate; client_max_window_bits=10",
             "permessage-deflate; client_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits=\"10\"",
             "permessage-deflate; server_max_window_bits=10"),
            ("permessage-deflate; server_max_window_bits=7", ""),
            ("permessage-deflate; server_max_window_bits=16", ""),
            ("permessage-deflate; server_max_window_bits=010", ""),
            ("permessage-deflate; server_max_window_bits", ""),
            ("permessage-deflate; client_max_window_bits=99", ""),
            ("permessage-deflate; client_no_context_takeover=1", ""),
            ("permessage-deflate; unknown", ""),
            ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", ""),
            ("x-webkit-deflate-frame", ""), ("permessage-bzip2, permessage-deflate", "permessage-deflate"),
            ("permessage-deflate; unknown, permessage-deflate; server_max_window_bits=12",
             "permessage-deflate; server_max_window_bits=12")):
        wire = await Wire.open(c, offer)
        got = wire.field("sec-websocket-extensions")
        assert wire.status == 101, offer
        if answer is None:
            assert got is not None and got.startswith("permessage-deflate"), (offer, got)
        else:
            assert (got or "") == answer, (offer, got)


# RFC 6455 §9.1: a malformed extension list is answered with 400
@test
async def malformed_offers_are_refused(c):
    for offer in ("permessage-deflate; =1", ";", "permessage deflate", "permessage-deflate; a=\"b"):
        assert (await Wire.open(c, offer)).status == 400, offer


# Compression

class Deflated:
    """A client that compresses, and inflates what comes."""

    def __init__(self, wire, client_bits=15, server_bits=15, client_context=True, server_context=True):
        self.wire = wire
        self.sizes = (client_bits, server_bits)
        self.contexts = (client_context, server_context)
        self.fresh(True, True)

    def fresh(self, deflater, inflater):
        if deflater:
            self.deflater = zlib.compressobj(9, zlib.DEFLATED, -max(9, self.sizes[0]))
        if inflater:
            self.inflater = zlib.decompressobj(-self.sizes[1])

    def pack(self, payload):
        packed = self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
        self.fresh(not self.contexts[0], False)
        return packed[:-4]

    async def echoes(self, payload, opcode=TEXT):
        self.wire.send(opcode, self.pack(payload), rsv=4)
        first, answer = await self.wire.frame()
        assert first & 0x8F == 0x80 | opcode, first
        if first & 0x40:
            out = self.inflater.decompress(answer + b"\0\0\xff\xff")
            self.fresh(False, not self.contexts[1])
            answer = out
        assert answer == payload
        return first & 0x40


# RFC 7692 §7.1.2: every window and context that can be agreed on carries text both ways
@test
async def every_window_and_context_carries_text(c):
    text = ("Ünïcödé " * 40 + "".join(f"{n}," for n in range(2000))).encode()
    for client_bits in (9, 10, 12, 15):
        for server_bits in (8, 9, 11, 15):
            for takeovers in ("", "client_no_context_takeover", "server_no_context_takeover",
                              "client_no_context_takeover; server_no_context_takeover"):
                offer = (f"permessage-deflate; client_max_window_bits={client_bits}; "
                         f"server_max_window_bits={server_bits}" + (f"; {takeovers}" if takeovers else ""))
                wire = await Wire.open(c, offer)
                peer = Deflated(wire, client_bits, max(9, server_bits), "client_no" not in takeovers,
                                "server_no" not in takeovers)
                for payload in (text, text, b"", b"x", text[::-1].hex().encode()):
                    await peer.echoes(payload)
                wire.writer.close()


# RFC 7692 §7.1.1: with context taken over, a message refers to the one before
@test
async def what_comes_back_is_compressed_and_takes_context(c):
    wire = await Wire.open(c, "permessage-deflate")
    peer = Deflated(wire)
    text = b"the same words again and again, " * 20
    assert await peer.echoes(text)
    wire.send(TEXT, peer.pack(text), rsv=4)
    first, second = await wire.frame()
    assert first == 0xC1 and len(second) < 20, len(second)


@test
async def compressed_and_plain_messages_mix(c):
    wire = await Wire.open(c, "permessage-deflate")
    peer = Deflated(wire)
    for n in range(20):
        await peer.echoes(b"squeezed %d" % n)
        wire.send(TEXT, b"plain %d" % n)
        first, answer = await wire.frame()
        if first & 0x40:
            answer = peer.inflater.decompress(answer + b"\0\0\xff\xff")
        assert answer == b"plain %d" % n


# RFC 7692 §6.1: a compressed message in fragments of a byte, pings between them, is one
@test
async def fragments_of_a_compressed_message_are_one(c):
    wire = await Wire.open(c, "permessage-deflate")
    peer = Deflated(wire)
    packed = peer.pack(b"cut at every byte " * 30)
    for index in range(len(packed)):
        wire.send(TEXT if index == 0 else 0, packed[index:index + 1], index == len(packed) - 1,
                  4 if index == 0 else 0)
        if index % 7 == 0:
            wire.send(PING, b"between")
            assert await wire.frame() == (0x80 | PONG, b"between")
    first, answer = await wire.frame()
    assert peer.inflater.decompress(answer + b"\0\0\xff\xff") == b"cut at every byte " * 30


# RFC 7692 §8: what inflates past the limit fails with 1009, over a socket
@test
async def a_compression_bomb_is_cut_short(c):
    wire = await Wire.open(c, "permessage-deflate")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(bomb.compress(bytes(1 << 20)) for _ in range(64)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    wire.send(BINARY, packed[:-4], rsv=4)
    await wire.closes_with(1009)


@test
async def garbage_does_not_inflate(c):
    wire = await Wire.open(c, "permessage-deflate")
    wire.send(BINARY, b"\xff" * 64, rsv=4)
    await wire.closes_with(1007)


@test
async def the_compression_bit_stands_on_first_data_frames_only(c):
    for frames in ([(PING, b"", True, 4)], [(TEXT, b"a", False, 0), (0, b"b", True, 4)], [(CLOSE, b"", True, 4)]):
        wire = await Wire.open(c, "permessage-deflate")
        for opcode, payload, final, rsv in frames:
            wire.send(opcode, payload, final, rsv)
        await wire.closes_with(1002)
    wire = await Wire.open(c)
    wire.send(TEXT, b"x", rsv=4)
    await wire.closes_with(1002)


# Frames

@test
async def every_length_at_the_edges_comes_back(c):
    wire = await Wire.open(c)
    for count in (0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 16383, 16384, 16385, 1 << 20):
        await echoes(wire, TEXT, b"*" * count)
        await echoes(wire, BINARY, bytes([0xFE]) * count)


# RFC 6455 §10.4: a message at the limit is echoed, one past it fails with 1009, over a socket
@test
async def sixteen_mebibytes_pass_and_one_byte_more_does_not(c):
    wire = await Wire.open(c)
    await echoes(wire, BINARY, bytes(1 << 24))
    wire.send(BINARY, bytes((1 << 24) + 1))
    await wire.closes_with(1009)


@test
async def sixty_five_thousand_fragments_are_one_message(c):
    wire = await Wire.open(c)
    for index in range(65_536):
        wire.send(TEXT if index == 0 else 0, b"x", index == 65_535)
        if index % 1024 == 0:
            await wire.writer.drain()
    assert await asyncio.wait_for(wire.frame(), 20) == (0x81, b"x" * 65_536)


@test
async def empty_fragments_are_bounded(c):
    wire = await Wire.open(c)
    try:
        wire.send(TEXT, b"", False)
        for index in range(140_000):
            wire.send(0, b"", False)
            if index % 1024 == 0:
                await wire.writer.drain()
    except ConnectionError:
        return
    await wire.closes_with(1009)


@test
async def reserved_bits_and_opcodes_end_the_connection(c):
    for rsv in range(1, 8):
        wire = await Wire.open(c)
        wire.send(TEXT, b"x", rsv=rsv)
        await wire.closes_with(1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        wire = await Wire.open(c)
        wire.send(opcode, b"")
        await wire.closes_with(1002)


# RFC 6455 §7.1.7: who fails a connection says why and closes it
@test
async def frames_without_a_mask_end_the_connection(c):
    for opcode in (TEXT, PING, CLOSE):
        wire = await Wire.open(c)
        wire.send(opcode, b"", mask=False)
        await wire.closes_with(1002)


@test
async def lengths_are_written_as_short_as_can_be(c):
    for payload, form in ((b"x", 16), (b"x", 64), (b"x" * 200, 64)):
        wire = await Wire.open(c)
        wire.send(TEXT, payload, length_form=form)
        await wire.closes_with(1002)
    wire = await Wire.open(c)
    wire.writer.write(b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0")
    await wire.closes_with(1002)


@test
async def control_frames_are_short_and_whole(c):
    for opcode in (PING, PONG, CLOSE):
        wire = await Wire.open(c)
        wire.send(opcode, b"x" * 126)
        await wire.closes_with(1002)
        wire = await Wire.open(c)
        wire.send(opcode, b"", final=False)
        await wire.closes_with(1002)


# RFC 6455 §5.5.2: a ping MUST be answered by a pong
# RFC 6455 §5.5.3: a pong MUST have the data of its ping
@test
async def pings_are_answered_with_their_payload_in_order(c):
    wire = await Wire.open(c)
    for n in range(200):
        wire.send(PING, b"%d" % n)
    assert [await wire.frame() for _ in range(200)] == [(0x8A, b"%d" % n) for n in range(200)]
    wire.send(PING, b"x" * 125)
    assert await wire.frame() == (0x8A, b"x" * 125)
    wire.send(PONG, b"unasked")
    await echoes(wire, TEXT, b"still")


@test
async def fragments_must_begin_and_end_right(c):
    for frames in ([(0, True)], [(0, False)], [(TEXT, False), (TEXT, True)], [(TEXT, False), (BINARY, False)],
                   [(TEXT, False), (0, True), (0, True)]):
        wire = await Wire.open(c)
        for opcode, final in frames:
            wire.send(opcode, b"x", final)
        await wire.closes_with(1002)


# UTF-8

@test
async def text_cut_inside_its_characters_is_whole(c):
    text = "κόσμε—漢字—😀\U0010ffff\u0000\ud7ff\ue000".encode()
    wire = await Wire.open(c)
    for cut in range(len(text) + 1):
        wire.send(TEXT, text[:cut], False)
        wire.send(0, text[cut:])
        assert await wire.frame() == (0x81, text)


# RFC 6455 §8.1: text that is not UTF-8 MUST fail the connection, with 1007, over a socket
@test
async def text_that_is_not_utf8_ends_the_connection(c):
    for bad in (b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf",
                b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5", b"\xfe", b"\xff",
                b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98", b"ok\xc3(", b"\xf8\x88\x80\x80\x80"):
        wire = await Wire.open(c)
        wire.send(TEXT, b"before " + bad)
        await wire.closes_with(1007)


@test
async def bad_text_fails_at_its_first_bad_byte(c):
    wire = await Wire.open(c)
    wire.send(TEXT, "κόσμε".encode() + b"\xed", False)
    await asyncio.sleep(0.02)
    wire.send(0, b"\xa0", False)
    await wire.closes_with(1007)
    wire = await Wire.open(c)
    # A frame announced as long, of which the first bytes are wrong: the rest never comes.
    wire.writer.write(b"\x81\xfe\x10\x00\0\0\0\0" + b"good \xf4\x90")
    await wire.closes_with(1007)


# Closing

# RFC 6455 §5.5.1: a close MUST be answered by a close, of the same code
# RFC 6455 §7.1.1: when both have sent a close, the server MUST close the connection
@test
async def close_codes_that_may_be_sent_are_echoed(c):
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
        wire = await Wire.open(c)
        wire.send(CLOSE, struct.pack(">H", code) + "grüße".encode())
        await wire.closes_with(code)


@test
async def close_codes_that_may_not_be_sent_are_an_error(c):
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        wire = await Wire.open(c)
        wire.send(CLOSE, struct.pack(">H", code))
        await wire.closes_with(1002)


# RFC 6455 §7.1.5: a close without a code is answered by one without
@test
async def odd_close_frames(c):
    for payload, code in ((b"", None), (b"\x03", 1002), (b"\x03\xe8" + b"x" * 123, 1000),
                          (b"\x03\xe8\xff", 1007)):
        wire = await Wire.open(c)
        wire.send(CLOSE, payload)
        await wire.closes_with(code)


# RFC 6455 §5.5.1: behind a close nothing MUST be sent any more, no pong either
@test
async def nothing_is_answered_behind_a_close(c):
    wire = await Wire.open(c)
    wire.send(CLOSE, b"\x03\xe8")
    wire.send(PING, b"late")
    wire.send(TEXT, b"late")
    assert await wire.frame() == (0x88, b"\x03\xe8")
    assert await asyncio.wait_for(wire.reader.read(), 5) == b""


@test
async def a_peer_that_just_goes_hurts_nobody(c):
    for _ in range(100):
        wire = await Wire.open(c)
        wire.send(TEXT, b"x" * 100_000, False)
        wire.writer.transport.abort()
    await echoes(await Wire.open(c), TEXT, b"still")


if __name__ == "__main__":
    main("echo", "/")
