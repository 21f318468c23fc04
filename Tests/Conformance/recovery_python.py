# SPDX-License-Identifier: MIT
"""python-socketio, unmodified, comes back to a server that was killed, with everything it missed.

It has no connection state recovery of its own: it hands its cursor back in `auth`, which
python-socketio takes as a function, so that each reconnect has the latest. Also with a cursor 5,000
events and 24 hours old, and after a ban or the token's end, when nothing comes. Starts its own
services; takes BIN_DIR from the environment.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid

import socketio

BIN = os.environ["BIN_DIR"]
DATA = tempfile.mkdtemp(prefix="recovery-")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


AUTH, CHAT = free_port(), free_port()
ENVIRONMENT = {
    "LOG_LEVEL": "warning", "UNLIMITED": "1", "AUTH_URL": f"http://127.0.0.1:{AUTH}",
    "AUTH_ISSUER": f"http://127.0.0.1:{AUTH}", "AUTH_PORT": str(AUTH), "AUTH_DATA_DIR": f"{DATA}/auth",
    "AUTH_SERVICE_SECRETS_DIR": f"{DATA}/secrets", "CHAT_PORT": str(CHAT), "CHAT_DATA_DIR": f"{DATA}/chat",
    "CHAT_SERVICE_SECRET_FILE": f"{DATA}/secrets/chat-service",
}


PROCESSES = []
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
TOMORROW = {
    "LD_PRELOAD": FAKETIME, "FAKETIME": "+1d", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    "FAKETIME_FORCE_MONOTONIC_FIX": "1",
}


def start(name, port, extra=None):
    environment = {**ENVIRONMENT, **(extra or {})}
    process = subprocess.Popen([f"{BIN}/{name}"], env=environment, stdin=subprocess.DEVNULL)
    PROCESSES.append(process)
    eventually(lambda: is_ready(port), f"{name} is ready")
    return process


def is_ready(port):
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).status == 200
    except OSError:
        return False


def eventually(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)


def operate(*words):
    return subprocess.run(
        [f"{BIN}/chatctl", *words, "--data-dir", DATA], check=True, capture_output=True, text=True,
        env={**os.environ, **ENVIRONMENT}).stdout.strip()


def token(name, ttl=172_800):
    return operate("token", "--user", name, "--ttl", str(ttl))


class Person:
    """A client that remembers how far it got, as an application of python-socketio has to."""

    def __init__(self, name, ttl=172_800, **options):
        self.seq, self.epoch = 0, None
        self.sessions = 0
        self.refusals = []
        self.texts = {}
        self.lock = threading.Lock()
        self.token = token(name, ttl)
        self.client = socketio.Client(
            reconnection_delay=0.1, reconnection_delay_max=0.5, randomization_factor=0, **options)
        self.client.on("session", self.on_session)
        self.client.on("message", self.on_message)
        for event in ("member", "room"):
            self.client.on(event, self.on_durable)
        self.client.on("connect_error", self.refusals.append)
        self.connect()
        eventually(lambda: self.sessions == 1, "a session")

    def connect(self):
        self.client.connect(
            f"http://127.0.0.1:{CHAT}", auth=self.auth, transports=["websocket"], wait_timeout=10)

    def come_back(self):
        """Connects again, as often as it takes: what python-socketio does by itself after a loss."""
        before = self.sessions

        def is_in():
            try:
                self.connect()
            except socketio.exceptions.ConnectionError:
                time.sleep(0.2)
            return self.client.connected

        eventually(is_in, "connected again", 60)
        eventually(lambda: self.sessions == before + 1, "a session")

    def is_refused(self, code):
        """Connecting again is refused with this code, and nothing at all is delivered."""
        before = self.sessions, sum(map(len, self.texts.values()))
        try:
            self.connect()
        except socketio.exceptions.ConnectionError:
            pass
        eventually(lambda: any(code in str(refusal) for refusal in self.refusals), f"refused: {code}")
        time.sleep(0.5)
        assert before == (self.sessions, sum(map(len, self.texts.values())))
        assert not self.client.connected

    def auth(self):
        cursor = {} if self.epoch is None else {"cursor": f"{self.seq}-{self.epoch}"}
        return {"token": self.token, **cursor}

    def on_session(self, session):
        assert session["recovered"] == (self.sessions > 0), session
        self.seq, self.epoch = max(self.seq, session["seq"]), session["epoch"]
        self.sessions += 1

    def on_durable(self, event):
        self.seq = max(self.seq, event["seq"])

    def on_message(self, message):
        with self.lock:
            self.texts.setdefault(message["room"], []).append(message["text"])
        self.on_durable(message)

    def ask(self, event, data):
        answer = self.client.call(event, data, timeout=10)
        assert answer["ok"], answer
        return answer


def kill(chat):
    chat.send_signal(signal.SIGKILL)
    chat.wait()


def rooms_of(owner, others, count):
    rooms = []
    for _ in range(count):
        made = owner.ask("room:create", {"name": f"r {uuid.uuid4()}", "visibility": "public"})
        rooms.append(made["room"]["id"])
        for other in others:
            other.ask("room:join", {"room": rooms[-1]})
    return rooms


def complete(person, room, wanted):
    eventually(lambda: len(person.texts.get(room, [])) >= len(wanted), "all messages", 60)
    assert person.texts[room] == wanted, person.texts[room][:20]


def kill_9(chat):
    ada, bob = Person("ada"), Person("bob")
    rooms = rooms_of(ada, [bob], 3)
    for number in range(1, 4):
        kill(chat)
        eventually(lambda: not bob.client.connected, "bob notices")
        chat = start("ChatService", CHAT)
        eventually(lambda: ada.sessions == number + 1, "ada is back")
        for room in rooms:
            ada.ask("message:send", {"room": room, "text": f"{number}", "clientId": f"{room}-{number}"})
        eventually(lambda: bob.sessions == number + 1, "bob is back")
        for room in rooms:
            complete(bob, room, [f"{n}" for n in range(1, number + 1)])
        # A retry after the crash is answered as the first time.
        again = ada.ask(
            "message:send", {"room": rooms[0], "text": f"{number}", "clientId": f"{rooms[0]}-{number}"})
        assert again["roomSeq"] > 0
    for person in (ada, bob):
        person.client.disconnect()
    print("ok   kill -9 three times, three rooms complete")
    return chat


def an_old_cursor(chat):
    ada, bob = Person("ada2"), Person("bob2")
    rooms = rooms_of(ada, [bob], 3)
    bob.client.disconnect()
    wanted = {room: [] for room in rooms}
    for number in range(5000):
        room = rooms[number % 3]
        wanted[room].append(f"{number}")
        ada.client.emit("message:send", {"room": room, "text": f"{number}"})
    eventually(lambda: all(len(ada.texts.get(room, [])) == len(wanted[room]) for room in rooms), "sent", 60)
    ada.client.disconnect()
    kill(chat)
    chat = start("ChatService", CHAT, TOMORROW)
    bob.come_back()
    for room in rooms:
        complete(bob, room, wanted[room])
    bob.client.disconnect()
    kill(chat)
    print("ok   a cursor 5,000 events and 24 hours old: all of three rooms")
    return start("ChatService", CHAT)


def a_ban(chat):
    ada, eve = Person("ada3"), Person("eve")
    eve.client.disconnect()
    ada.ask("message:send", {"room": "lobby", "text": "not for eve"})
    operate("user", "disable", "eve")
    # Told within a second; the wait is for the verdict, not for the test.
    time.sleep(1.5)
    eve.is_refused("token_revoked")
    ada.client.disconnect()
    print("ok   a ban in between: refused, nothing delivered")
    return chat


def an_expired_token(chat):
    ada, bob = Person("ada4"), Person("bob4", ttl=5)
    bob.client.disconnect()
    ada.ask("message:send", {"room": "lobby", "text": "late"})
    time.sleep(12)  # past its end and the verifier's leeway
    bob.is_refused("token_expired")
    bob.token = token("bob4")
    bob.come_back()
    eventually(lambda: bob.texts.get("lobby", []).count("late") == 1, "what was missed")
    for person in (ada, bob):
        person.client.disconnect()
    print("ok   an expired token: refused, nothing delivered; with a fresh one, what was missed")
    return chat


def main():
    assert os.path.exists(FAKETIME), f"{FAKETIME} is missing: scripts/setup.sh test"
    start("AuthService", AUTH)
    chat = start("ChatService", CHAT)
    tests = [kill_9, an_old_cursor, a_ban, an_expired_token]
    try:
        for test in tests:
            chat = test(chat)
        print(f"{len(tests)} passed, 0 failed")
    finally:
        for process in PROCESSES:
            process.kill()
        shutil.rmtree(DATA, ignore_errors=True)


if __name__ == "__main__":
    main()
