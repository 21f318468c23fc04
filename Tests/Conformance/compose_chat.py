#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two people sign in through the edge's login form with PKCE and chat over Socket.IO.

Environment: EDGE_URL, for instance http://localhost:8080
With --again the two accounts of the first run sign in once more, and the first run's message must
still be in the history: the suite was restarted in between.
"""
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request

import socketio

from oauth_login import sign_in

EDGE = os.environ["EDGE_URL"].rstrip("/")
AGAIN = "--again" in sys.argv[1:]
PASSWORD = "correct horse battery staple"
FIRST = "hello from the first run"


class Person:
    def __init__(self, name, transports):
        answer = sign_in(EDGE, EDGE + "/callback", name, PASSWORD, register=not AGAIN)
        self.name, self.token = name, answer["access_token"]
        self.session = None
        self.messages = []
        self.changed = threading.Condition()
        self.socket = socketio.Client(reconnection=False)
        self.socket.on("session", self.on_session)
        self.socket.on("message", self.on_message)
        self.socket.connect(EDGE, auth={"token": self.token}, transports=transports, wait_timeout=15)

    def on_session(self, session, *_offset):
        with self.changed:
            self.session = session
            self.changed.notify_all()

    def on_message(self, message, *_offset):
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def wait(self, predicate, what):
        with self.changed:
            assert self.changed.wait_for(predicate, timeout=15), f"{self.name}: no {what} within 15 s"

    def sends(self, text):
        answer = self.socket.call(
            "message:send", {"room": "lobby", "text": text, "clientId": f"{self.name}-{time.time_ns()}"},
            timeout=15)
        assert answer["ok"], answer
        return answer

    def sees(self, text, sender):
        self.wait(lambda: any(m["text"] == text and m["user"]["name"] == sender for m in self.messages),
                  f"message {text!r}")


def get(path, token=None):
    request = urllib.request.Request(EDGE + path)
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def main():
    status, headers, page = get("/")
    assert status == 200 and b"<script" in page, (status, page[:200])
    assert headers["X-Content-Type-Options"] == "nosniff", headers
    status, _, body = get("/config.json")
    assert status == 200 and json.loads(body)["issuer"] == EDGE, (status, body)
    for closed in ("/internal/log", "/metrics", "/readyz"):
        assert get(closed)[0] == 404, closed

    ada = Person("ada_at_edge", ["websocket"])
    bob = Person("bob_at_edge", ["polling", "websocket"])
    for person in (ada, bob):
        person.wait(lambda: person.session is not None, "session")
        assert any(room["id"] == "lobby" for room in person.session["rooms"]), person.session

    first = FIRST if not AGAIN else f"again, {time.time_ns()}"
    sent = ada.sends(first)
    bob.sees(first, ada.name)
    bob.sends("and hello back: " + first)
    ada.sees("and hello back: " + first, bob.name)

    status, _, body = get("/api/v1/rooms/lobby/messages?limit=200", bob.token)
    assert status == 200, (status, body)
    texts = [message["text"] for message in json.loads(body)["messages"]]
    assert FIRST in texts, texts
    status, _, body = get("/notification/api/v1/endpoints", ada.token)
    assert status == 401, ("a chat token must not open NotificationService", status, body)

    ada.socket.disconnect()
    bob.socket.disconnect()
    print(f"two people {'chatted again, with their history,' if AGAIN else 'signed in and chatted'} "
          f"through the edge; last message {sent['id']}")


main()
