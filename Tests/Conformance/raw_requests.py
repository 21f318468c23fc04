# SPDX-License-Identifier: MIT
"""Bytes that no client sends, over plain sockets: requests hidden in requests, pipelines that end in an upgrade,
upgrades interleaved with what should not be there. Against a ConformanceServer and against the ChatService of
CHAT_URL, which must agree. Ends with `N passed, N failed`.

usage: raw_requests.py [NAME…]    NAME: part of a case's name
"""

import json
import os
import re
import socket
import sys
import traceback

from conformance import Server

POLL = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n"
UPGRADE = ("GET /socket.io/?EIO=4&transport=websocket%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n")
# Whatever it stands behind must not let it be answered.
HIDDEN = "GET /hidden.x HTTP/1.1\r\nHost: x\r\n\r\n"


class Wire:
    """A connection; `read` gives all that comes until the server ends it or is silent."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.bytes = b""
        self.has_ended = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)
        except ConnectionError:
            pass

    def read(self, silence=0.3):
        self.socket.settimeout(silence)
        try:
            while True:
                more = self.socket.recv(1 << 16)
                if not more:
                    break
                self.bytes += more
            self.has_ended = True
        except TimeoutError:
            pass
        except ConnectionError:
            self.has_ended = True
        return self.bytes

    def until(self, mark, silence=3):
        self.socket.settimeout(silence)
        while mark not in self.bytes:
            more = self.socket.recv(1 << 16)
            assert more, f"ended before {mark}: {self.bytes[-300:]}"
            self.bytes += more
        return self.bytes


def statuses(answer):
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def ask(port, data):
    with Wire(port) as wire:
        wire.send(data)
        return statuses(wire.read()), wire.has_ended


def refused(port, data, *wanted):
    """One answer of that kind, the end of the connection, and nothing for what stands behind."""
    got, has_ended = ask(port, data)
    assert len(got) == 1 and got[0] in wanted and has_ended, (data[:200], got, has_ended)


def head(*fields, start="POST /socket.io/?EIO=4&transport=polling HTTP/1.1", host="Host: x"):
    return "\r\n".join([start, *([host] if host is not None else []), *fields]) + "\r\n\r\n"


# RFC 9112 §11.2: a request hidden behind two ways to frame a body is never answered
def two_ways_to_say_where_a_body_ends(port):
    for fields in (("Content-Length: 4", "Transfer-Encoding: chunked"), ("Transfer-Encoding: chunked", "Content-Length: 4"),
                   ("Content-Length: 4", "Content-Length: 4"), ("Content-Length: 4", "Content-Length: 5"),
                   ("Content-Length: 4, 4",), ("Content-Length: 4", "transfer-encoding:\tchunked")):
        refused(port, head(*fields) + "0\r\n\r\n" + HIDDEN, 400)


def codings_that_are_not_chunked(port):
    for coding, status in (("identity", 501), ("gzip", 501), ("xchunked", 501), ("gzip, chunked", 501), ("chunked, identity", 400),
                           ("chunked, chunked", 400), ("chunked;q=1", 501), ("\"chunked\"", 400), ("\x0bchunked", 400),
                           ("chunked\x00", 400), ("", 400)):
        got, has_ended = ask(port, head(f"Transfer-Encoding: {coding}") + "0\r\n\r\n" + HIDDEN)
        assert len(got) == 1 and got[0] in (400, 501) and has_ended, (coding, got, has_ended)
    refused(port, head("Transfer-Encoding: chunked", "Transfer-Encoding: chunked") + "0\r\n\r\n" + HIDDEN, 400)
    refused(port, head("Transfer-Encoding: chunked", start="POST /socket.io/ HTTP/1.0") + "0\r\n\r\n" + HIDDEN, 400)


def lengths_that_are_not_digits(port):
    for length in ("+4", "-4", "0x4", "4.0", "4 4", "", "4;", "٤", "1e1", "4,"):
        refused(port, head("Content-Length: " + length.encode().decode("latin-1")) + "body" + HIDDEN, 400)
    refused(port, head("Content-Length: 99999999999999999999999999") + "body" + HIDDEN, 413)


# RFC 9112 §11.2: a request hidden in chunks is never answered
def chunks_that_hide_something(port):
    chunked = head("Transfer-Encoding: chunked")
    for body in ("0x4\r\nbody\r\n0\r\n\r\n", "+4\r\nbody\r\n0\r\n\r\n", "4\nbody\n0\n\n", "4\r\nbodyX\r\n0\r\n\r\n", "4 \r\nbody\r\n0\r\n\r\n",
                 "\r\n4\r\nbody\r\n0\r\n\r\n", "-1\r\n\r\n", "4\rbody\r\n0\r\n\r\n", "4;a\nb\r\nbody\r\n0\r\n\r\n", "4\r\nbody0\r\n\r\n",
                 "4\r\nbody\r\n0\r\nContent-Length: 9\nX: y\r\n\r\n", "4\r\nbody\r\n0\r\n bad: fold\r\n\r\n"):
        refused(port, chunked + body + HIDDEN, 400)
    refused(port, chunked + "FFFFFFFFFFFFFFFFF\r\n" + HIDDEN, 400, 413)
    refused(port, chunked + "7fffffffffffffff\r\n" + HIDDEN, 413)


# RFC 9112 §11.2: a request hidden behind lines that end otherwise is never answered
def lines_that_end_otherwise(port):
    for request in ("GET /hidden.x HTTP/1.1\nHost: x\n\n", "GET /hidden.x HTTP/1.1\r\nHost: x\n\r\n", "GET /hidden.x HTTP/1.1\rHost: x\r\r",
                    "GET /hidden.x HTTP/1.1\r\nHost: x\r\nA: b\rc: d\r\n\r\n", "GET /hidden.x HTTP/1.1\r\nHost: x\r\nA: b\r\n folded\r\n\r\n",
                    "GET /hidden.x HTTP/1.1\r\n Host: x\r\n\r\n", "GET /hidden.x HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n"):
        refused(port, request + HIDDEN, 400)


def fields_that_are_not_fields(port):
    for field in ("Transfer-Encoding : chunked", "Content-Length : 4", ": 4", "no colon", "a b: c", "a\t: c", "ü: c", "(a): c"):
        refused(port, head(field.encode().decode("latin-1")) + "0\r\n\r\n" + HIDDEN, 400)


def request_lines_that_are_not(port):
    for line in ("GET  /hidden.x HTTP/1.1", "GET /hidden.x HTTP/1.1 ", " GET /hidden.x HTTP/1.1", "GET /hid den HTTP/1.1", "GET /hidden.x",
                 "GET\t/hidden.x HTTP/1.1", "GET /hidden.x HTTP/1.1\t", "GET /hidden.x http/1.1", "GET hidden HTTP/1.1", "GET /\x00 HTTP/1.1",
                 "G@T /hidden.x HTTP/1.1", "GET /hidden.x HTTP/11", "GET http:///hidden.x HTTP/1.1", "GET * HTTP/1.1"):
        refused(port, line + "\r\nHost: x\r\n\r\n" + HIDDEN, 400)
    refused(port, "GET /hidden.x HTTP/2.0\r\nHost: x\r\n\r\n" + HIDDEN, 505)
    refused(port, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505)
    refused(port, "CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n" + HIDDEN, 501)


def hosts(port):
    start = "GET /hidden.x HTTP/1.1"
    for data in (head(start=start, host=None), head("Host: y", start=start), head("Host: x", start=start),
                 head(start=start, host="Host: a/b"), head(start=start, host="Host: a b"), head(start=start, host="Host: a@b"),
                 head(start=start, host="Host: a:port")):
        refused(port, data + HIDDEN, 400)
    # The authority of an absolute target counts, whatever Host says.
    assert ask(port, "GET http://y/hidden.x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") == ([404], True)


def expectations(port):
    refused(port, head("Expect: something", "Content-Length: 4") + "body" + HIDDEN, 417)
    with Wire(port) as wire:
        wire.send(head("Expect: 100-continue", "Content-Length: 4", start="POST /hidden.x HTTP/1.1"))
        wire.until(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.send("body" + HIDDEN)
        assert statuses(wire.read()) in ([100, 404, 404], [100, 405, 404]), wire.bytes


def bodies_at_the_limit_and_one_past_it(port):
    for chunked in (False, True):
        def body(count):
            with Wire(port) as wire:
                wire.send(POLL + "\r\n")
                sid = json.loads(re.search(rb"\r\n\r\n0(\{.*\})", wire.until(b"}"))[1])["sid"]
            start = f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1"
            text = "4" * count  # whatever it says, its size is what is looked at first
            return (head("Transfer-Encoding: chunked", start=start) + f"{count:x}\r\n{text}\r\n0\r\n\r\n" if chunked
                    else head(f"Content-Length: {count}", start=start) + text)
        with Wire(port) as wire:
            wire.send(body(1_000_000) + HIDDEN)
            got = statuses(wire.read(1))
            assert got[0] in (200, 400) and got[1:] == [404], got
        refused(port, body(1_000_001) + HIDDEN, 413)


def a_pipeline_is_answered_in_order(port):
    with Wire(port) as wire:
        wire.send(POLL + "\r\n" + HIDDEN + head(start="HEAD /hidden.x HTTP/1.1") + POLL + "\r\n" + HIDDEN)
        assert statuses(wire.read()) == [200, 404, 404, 200, 404], wire.bytes


# RFC 9110 §7.8: a 101 comes behind the answers to what was asked before
def a_pipeline_may_end_in_an_upgrade(port):
    with Wire(port) as wire:
        # A ping of RFC 6455 at the end shows that all before it was understood.
        wire.send((POLL + "\r\n" + HIDDEN + UPGRADE % "" + "\r\n").encode() + b"\x89\x82\0\0\0\0hi")
        wire.until(b"\x8a\x02hi")
        assert statuses(wire.bytes) == [200, 404, 101], wire.bytes
        assert wire.bytes.index(b" 101 ") < wire.bytes.index(b'"upgrades":[]')


def requests_behind_an_upgrade_are_frames(port):
    with Wire(port) as wire:
        wire.send(UPGRADE % "" + "\r\n" + HIDDEN)
        assert statuses(wire.read(1)) == [101] and wire.has_ended, wire.bytes
        assert wire.bytes.endswith(b"\x88\x02\x03\xea"), wire.bytes[-8:]  # 1002


# RFC 9110 §7.8: a server MUST NOT switch to what was not asked for as it should
def upgrades_that_are_none(port):
    good = UPGRADE % ""
    for bad in (good.replace("GET", "POST"), good.replace("HTTP/1.1", "HTTP/1.0"), good.replace("Connection: Upgrade\r\n", ""),
                good.replace("Upgrade: websocket", "Upgrade: h2c"), good.replace("Sec-WebSocket-Key: A", "Sec-WebSocket-Kex: A"),
                good.replace("AAAA==", "AAA=="), good.replace("Sec-WebSocket-Version: 13\r\n", ""),
                good + "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", good + "Sec-WebSocket-Version: 12\r\n"):
        got, _ = ask(port, bad + "\r\n")
        assert len(got) == 1 and 400 <= got[0] < 500, (bad, got)
    got, has_ended = ask(port, good.replace("Version: 13", "Version: 12") + "\r\n")
    assert got in ([400], [426]) and has_ended, got


def an_upgrade_with_a_body(port):
    # The body belongs to the request; what stands behind it is the first frame.
    with Wire(port) as wire:
        wire.send((UPGRADE % "" + "Content-Length: 4\r\n\r\nbody").encode() + b"\x89\x80\0\0\0\0")
        got = wire.read()
        assert statuses(got) == [101] and got.endswith(b"\x8a\x00") or statuses(got)[0] == 400, got


def sessions_that_are_not_there(port):
    for sid in ("x", "A" * 24, "_" * 24, "////////////////////////", "AA" + "A" * 10_000, "%00" * 24, "AAAAAAAAAAAAAAAAAAAAAAAA&sid=x"):
        for start in (f"GET /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1",
                      f"POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1"):
            got, _ = ask(port, head("Content-Length: 0", "Connection: close", start=start))
            assert len(got) == 1 and 400 <= got[0] < 500, (sid, got)
        got, _ = ask(port, UPGRADE % f"&sid={sid}" + "\r\n")
        assert len(got) == 1 and 400 <= got[0] < 500, (sid, got)


# RFC 9112 §9.6: a reset does not overtake the last answer, whatever the peer still sends
def an_answer_and_the_end_come_to_who_sends_on(port):
    # A reset must not overtake the answer (RFC 9112 §9.6), however much comes behind a bad request.
    with Wire(port) as wire:
        wire.send("GET /hidden.x HTTP/1.1\r\nHost: x\r\nbad field\r\n\r\n" + "x" * 4_000_000)
        assert statuses(wire.read(1)) == [400] and wire.has_ended, wire.bytes[:200]


def fields_of(answer):
    """Name and values of the first answer's fields."""
    found = {}
    for line in answer.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


# RFC 9110 §6.6.1: Date is in every answer, refusals among them, over a socket
# RFC 9110 §9.3.8: TRACE sends nothing back, no credentials above all
# RFC 9110 §15.5.22: a 426 MUST name what to upgrade to, in Upgrade and in Connection
def answers_carry_what_they_must(port):
    def answer(data):
        with Wire(port) as wire:
            wire.send(data)
            return wire.read()
    # Date in all that is not 1xx (RFC 9110 §6.6.1).
    for data in (POLL + "\r\n", HIDDEN, head("Content-Length: x"), UPGRADE.replace("13", "12") % "" + "\r\n"):
        assert len(fields_of(answer(data))["date"]) == 1, data
    # An answer to HEAD has the length of GET's, and no body (§9.3.2).
    got, whole = answer(head(start="HEAD /hidden.x HTTP/1.1")), answer(HIDDEN)
    assert got.endswith(b"\r\n\r\n") and fields_of(got)["content-length"] == fields_of(whole)["content-length"], got
    # 426 names what to upgrade to and lists it in Connection (§7.8, §15.5.22), and the version spoken (RFC 6455 §4.2.2).
    got = fields_of(answer(UPGRADE.replace("Version: 13", "Version: 12") % "" + "\r\n"))
    listed = {word.strip().lower() for line in got["connection"] for word in line.split(",")}
    assert got["upgrade"] == ["websocket"] and got["sec-websocket-version"] == ["13"] and "upgrade" in listed, got
    # 101 has no length, no coding and no date of ours that a strict client could trip over (§8.6).
    with Wire(port) as wire:
        wire.send(UPGRADE % "" + "\r\n")
        got = fields_of(wire.until(b"\r\n\r\n"))
    assert "content-length" not in got and "transfer-encoding" not in got, got
    # OPTIONS * is answered, with a length (§9.3.7); TRACE is not echoed.
    got = answer("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(got)[0] in (200, 204, 404, 405), got
    got = answer("TRACE /hidden.x HTTP/1.1\r\nHost: x\r\nCookie: secret\r\n\r\n")
    assert statuses(got)[0] >= 400 and b"secret" not in got, got


def a_method_that_is_not_allowed(port):
    with Wire(port) as wire:
        wire.send(head(start="DELETE /healthz HTTP/1.1"))
        got = wire.read()
    # Where the path is served: with what is allowed (RFC 9110 §15.5.6).
    assert statuses(got) == [404] or statuses(got) == [405] and "GET" in fields_of(got)["allow"][0], got


# RFC 9112 §2.2: requests in single bytes are the same, over a socket
def a_request_in_single_bytes(port):
    with Wire(port) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in (HIDDEN + head("Transfer-Encoding: chunked", start="POST /hidden.x HTTP/1.1") + "4;a=b\r\nbody\r\n0\r\nT: r\r\n\r\n").encode():
            wire.send(bytes([byte]))
        assert statuses(wire.read()) in ([404, 404], [404, 405]), wire.bytes


CASES = [body for name, body in list(globals().items())
         if callable(body) and getattr(body, "__code__", None) and body.__code__.co_varnames[:1] == ("port",)
         and body.__code__.co_argcount == 1]


def main():
    passed = failed = 0
    with Server("protocol") as server:
        targets = [("ConformanceServer", server.port)]
        if os.environ.get("CHAT_URL"):
            targets.append(("ChatService", int(os.environ["CHAT_URL"].rsplit(":", 1)[1])))
        for case in CASES:
            name = case.__name__.replace("_", " ")
            if sys.argv[1:] and not any(part in name for part in sys.argv[1:]):
                continue
            for label, port in targets:
                try:
                    case(port)
                    passed += 1
                    print(f"ok    {name}, {label}", flush=True)
                except Exception:
                    failed += 1
                    print(f"FAIL  {name}, {label}\n{traceback.format_exc()}", flush=True)
    print(f"raw requests: {passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
