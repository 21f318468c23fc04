# SPDX-License-Identifier: MIT
"""python-socketio, unmodified, comes back to a server that was killed, with everything it missed.

It has no connection state recovery of its own: it hands its cursor back in `auth`, which
python-socketio takes as a function, so that each reconnect has the latest. Starts its own services;
takes BIN_DIR from the environment.
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


def start(name, port):
    process = subprocess.Popen([f"{BIN}/{name}"], env=ENVIRONMENT, stdin=subprocess.DEVNULL)
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


def token(name):
    command = [f"{BIN}/chatctl", "token", "--data-dir", DATA, "--user", name]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, **ENVIRONMENT}
    ).stdout.strip()


class Person:
    """A client that remembers how far it got, as an application of python-socketio has to."""

    def __init__(self, name, **options):
        self.cursor = None
        self.sessions = 0
        self.texts = {}
        self.lock = threading.Lock()
        self.token = token(name)
        self.client = socketio.Client(
            reconnection_delay=0.1, reconnection_delay_max=0.5, randomization_factor=0, **options)
        self.client.on("session", self.on_session)
        self.client.on("message", self.on_message)
        for event in ("member", "room"):
            self.client.on(event, self.on_durable)
        self.client.connect(
            f"http://127.0.0.1:{CHAT}", auth=self.auth, transports=["websocket"], wait_timeout=10)
        eventually(lambda: self.sessions == 1, "a session")

    def auth(self):
        cursor = {} if self.cursor is None else {"cursor": str(self.cursor)}
        return {"token": self.token, **cursor}

    def on_session(self, session):
        self.cursor = max(self.cursor or 0, session["seq"])
        self.sessions += 1

    def on_durable(self, event):
        self.cursor = max(self.cursor or 0, event["seq"])

    def on_message(self, message):
        with self.lock:
            self.texts.setdefault(message["room"], []).append(message["text"])
        self.on_durable(message)

    def ask(self, event, data):
        answer = self.client.call(event, data, timeout=10)
        assert answer["ok"], answer
        return answer


def main():
    auth, chat = start("AuthService", AUTH), start("ChatService", CHAT)
    try:
        ada, bob = Person("ada"), Person("bob")
        rooms = []
        for _ in range(3):
            made = ada.ask("room:create", {"name": f"r {uuid.uuid4()}", "visibility": "public"})
            rooms.append(made["room"]["id"])
            bob.ask("room:join", {"room": rooms[-1]})
        for number in range(1, 4):
            chat.send_signal(signal.SIGKILL)
            chat.wait()
            eventually(lambda: not bob.client.connected, "bob notices")
            chat = start("ChatService", CHAT)
            eventually(lambda: ada.sessions == number + 1, "ada is back")
            for room in rooms:
                ada.ask("message:send", {"room": room, "text": f"{number}", "clientId": f"{room}-{number}"})
            eventually(lambda: bob.sessions == number + 1, "bob is back")
            wanted = [f"{n}" for n in range(1, number + 1)]
            for room in rooms:
                eventually(lambda: len(bob.texts.get(room, [])) >= number, "all messages")
                assert bob.texts[room] == wanted, bob.texts[room]
            # A retry after the crash is answered as the first time.
            again = ada.ask(
                "message:send", {"room": rooms[0], "text": f"{number}", "clientId": f"{rooms[0]}-{number}"})
            assert again["roomSeq"] > 0
        print("ok   kill -9 three times, three rooms complete")
        print("1 passed, 0 failed")
        for person in (ada, bob):
            person.client.disconnect()
    finally:
        chat.kill()
        auth.kill()
        shutil.rmtree(DATA, ignore_errors=True)


if __name__ == "__main__":
    main()
