# SPDX-License-Identifier: MIT
"""python-socketio against a running suite, on every transport.

Takes CHAT_URL, DATA_DIR and BIN_DIR from the environment, makes its own users, and ends with the
line `N passed, N failed`.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
import uuid

import socketio

URL = os.environ["CHAT_URL"]
RUN = uuid.uuid4().hex[:8]
TRANSPORTS = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": ["polling", "websocket"],
}


def token(name, ttl=600):
    """A token for a user of this run."""
    command = [
        os.path.join(os.environ["BIN_DIR"], "chatctl"), "token",
        "--data-dir", os.environ["DATA_DIR"], "--user", f"{name}-{RUN}", "--ttl", str(ttl),
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Relay:
    """A TCP relay in front of the suite whose connections can be cut, as a network does."""

    def __init__(self):
        target = urllib.parse.urlsplit(URL)
        self.target = (target.hostname, target.port)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.ends = set()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self.target)
            self.ends |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(source, sink), daemon=True).start()

    def pump(self, source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            self.end(end)

    def end(self, end):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self):
        for end in list(self.ends):
            self.end(end)
        self.ends.clear()

    def close(self):
        self.listener.close()
        self.cut()


class Person:
    """One client that keeps every event it gets, with plain one-argument handlers."""

    def __init__(self, name, transports, **options):
        self.events = []
        self.changed = threading.Condition()
        self.client = socketio.Client(**options)
        for event in ("session", "message", "member", "receipt", "typing", "presence"):
            self.client.on(event, self.keep(event))
        self.token = token(name)
        self.transports = transports

    def keep(self, event):
        def handler(data):
            with self.changed:
                self.events.append((event, data))
                self.changed.notify_all()

        return handler

    def connect(self, url=URL, **auth):
        self.client.connect(
            url, auth={"token": self.token, **auth}, transports=self.transports, wait_timeout=10)
        self.wait("session", lambda _: True)
        return self

    def wait(self, event, wanted, seconds=10):
        """The first event of a name that `wanted` takes."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for name, data in self.events:
                    if name == event and wanted(data):
                        return data
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no such {event} in {self.events}")
                self.changed.wait(left)

    def call(self, event, data):
        answer = self.client.call(event, data, timeout=10)
        assert answer["ok"], (event, answer)
        return answer

    def texts(self, room):
        with self.changed:
            return [data["text"] for name, data in self.events if name == "message" and data["room"] == room]


def a_conversation(transports):
    ada = Person("ada", transports).connect()
    bob = Person("bob", transports).connect()
    try:
        session = ada.wait("session", lambda _: True)
        assert session["rooms"][0]["id"] == "lobby", session
        wanted = "polling" if transports == ["polling"] else "websocket"
        deadline = time.monotonic() + 5
        while ada.client.transport() != wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ada.client.transport() == wanted
        room = ada.call("room:create", {"name": f"room {uuid.uuid4().hex[:8]}"})["room"]["id"]
        joined = bob.call("room:join", {"room": room})
        acks = [
            ada.call("message:send", {"room": room, "text": f"number {n}", "clientId": f"{room}-{n}"})
            for n in range(20)
        ]
        assert [ack["roomSeq"] for ack in acks] == [joined["head"] + 1 + n for n in range(20)], acks
        again = ada.call("message:send", {"room": room, "text": "again", "clientId": f"{room}-0"})
        assert again == acks[0]
        bob.wait("message", lambda m: m["room"] == room and m["text"] == "number 19")
        assert bob.texts(room) == [f"number {n}" for n in range(20)], bob.texts(room)
        page = bob.call("history:fetch", {"room": room, "limit": 5})
        assert [m["text"] for m in page["messages"]] == [f"number {n}" for n in range(15, 20)]
        assert page["hasMore"]
        assert bob.call("message:read", {"room": room, "roomSeq": acks[-1]["roomSeq"]})["unread"] == 0
        ada.wait("receipt", lambda r: r["room"] == room and r["roomSeq"] == acks[-1]["roomSeq"])
        bob.client.emit("typing", {"room": room, "on": True})
        ada.wait("typing", lambda t: t["room"] == room and t["on"])
    finally:
        ada.client.disconnect()
        bob.client.disconnect()


def a_wrong_token_is_refused(transports):
    for auth, code in (({"token": "wrong"}, "invalid_token"), (None, "unauthorized")):
        client = socketio.Client(reconnection=False)
        refusals = []
        client.on("connect_error", refusals.append)
        try:
            client.connect(URL, auth=auth, transports=transports, wait_timeout=5)
            raise AssertionError("connected")
        except socketio.exceptions.ConnectionError:
            pass
        finally:
            client.disconnect()
        assert refusals and refusals[0]["message"] == code, refusals


def an_expired_token_is_refused(transports):
    old = token("old", ttl=1)
    time.sleep(8)  # past the second of life and the verifier's leeway
    client = socketio.Client(reconnection=False)
    refusals = []
    client.on("connect_error", refusals.append)
    try:
        client.connect(URL, auth={"token": old}, transports=transports, wait_timeout=5)
        raise AssertionError("connected")
    except socketio.exceptions.ConnectionError:
        assert refusals[0]["message"] == "token_expired", refusals
    finally:
        client.disconnect()


def a_client_that_was_cut_off_comes_back(transports):
    relay = Relay()
    ada = Person("ada", transports).connect()
    bob = Person("bob", transports, reconnection_delay=0.2, randomization_factor=0).connect(relay.url)
    try:
        text = f"before {uuid.uuid4().hex}"
        ada.call("message:send", {"room": "lobby", "text": text})
        bob.wait("message", lambda m: m["text"] == text)
        sessions = sum(name == "session" for name, _ in bob.events)
        relay.cut()
        # A poller that was between two polls has not noticed, and goes on where it was.
        deadline = time.monotonic() + (3 if transports == ["polling"] else 15)
        while sum(name == "session" for name, _ in bob.events) == sessions:
            if time.monotonic() > deadline:
                assert transports == ["polling"], "did not come back"
                break
            time.sleep(0.05)
        text = f"after {uuid.uuid4().hex}"
        ada.call("message:send", {"room": "lobby", "text": text})
        bob.wait("message", lambda m: m["text"] == text)
    finally:
        ada.client.disconnect()
        bob.client.disconnect()
        relay.close()


def a_cursor_brings_what_was_missed(transports):
    ada = Person("ada", transports).connect()
    bob = Person("bob", transports).connect()
    session = bob.wait("session", lambda _: True)
    cursor = f"{session['seq']}-{session['epoch']}"
    bob.client.disconnect()
    texts = [f"missed {n} {uuid.uuid4().hex}" for n in range(3)]
    for text in texts:
        ada.call("message:send", {"room": "lobby", "text": text})
    back = Person("bob", transports)
    back.connect(cursor=cursor)
    try:
        back.wait("message", lambda m: m["text"] == texts[-1])
        assert [t for t in back.texts("lobby") if t in texts] == texts, back.texts("lobby")
    finally:
        ada.client.disconnect()
        back.client.disconnect()


def bad_requests_are_refused_by_code(transports):
    ada = Person("ada", transports).connect()
    try:
        for event, data, code in (
            ("message:send", {"room": "lobby"}, "bad_request"),
            ("message:send", {"room": "lobby", "text": "x" * 4001}, "too_large"),
            ("message:send", {"room": "nowhere", "text": "x"}, "not_found"),
            ("message:send", "text", "bad_request"),
            ("history:fetch", {"room": "lobby", "limit": 1000}, "bad_request"),
            ("no:such:event", {}, "unknown_event"),
        ):
            answer = ada.client.call(event, data, timeout=10)
            assert not answer["ok"] and answer["error"]["code"] == code, (event, answer)
        binary = ada.client.call("message:send", {"room": "lobby", "text": b"bytes"}, timeout=10)
        assert binary["error"]["code"] == "bad_request", binary
        ada.call("room:list", {})
    finally:
        ada.client.disconnect()


def main():
    passed = failed = 0
    tests = [
        a_conversation, a_wrong_token_is_refused, a_client_that_was_cut_off_comes_back,
        a_cursor_brings_what_was_missed, bad_requests_are_refused_by_code,
    ]
    runs = [(test, name) for test in tests for name in TRANSPORTS]
    runs.append((an_expired_token_is_refused, "websocket"))
    for test, name in runs:
        try:
            test(TRANSPORTS[name])
            passed += 1
            print(f"ok   {test.__name__} over {name}", flush=True)
        except Exception:  # a failure of one is reported with the rest
            failed += 1
            print(f"FAIL {test.__name__} over {name}\n{traceback.format_exc()}", flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
