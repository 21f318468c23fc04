# SPDX-License-Identifier: MIT
"""From a sent message and a read receipt to signed webhooks, through all three real services.

Somebody signs in, registers an endpoint, writes, and somebody else reads; a receiver judges each
webhook with the reference verifier (PyPI: standardwebhooks). Then the receiver goes away,
NotificationService is killed with SIGKILL, and what happened meanwhile must still arrive.

Environment: CHAT_URL, AUTH_URL, NOTIFICATION_URL, DATA_DIR.
"""
import glob
import http.server
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

from standardwebhooks import Webhook

from oauth_login import Browser, sign_in

CHAT = os.environ["CHAT_URL"]
AUTH = os.environ["AUTH_URL"]
NOTIFICATION = os.environ["NOTIFICATION_URL"]
RUN = uuid.uuid4().hex[:8]


class Receiver:
    """Keeps every webhook that verifies; a wrong signature is a failure of the test."""

    def __init__(self, port=0):
        self.arrived, self.bad, self.secret = [], [], None
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                try:
                    event = Webhook(receiver.secret).verify(body, dict(self.headers))
                    receiver.arrived.append((self.headers["webhook-id"], event))
                except Exception as error:  # judged at the end
                    receiver.bad.append((repr(error), dict(self.headers), body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.handler = Handler
        self.port = port
        self.start()

    def start(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), self.handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def wait(self, wanted, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _, event in list(self.arrived):
                if wanted(event):
                    return event
            time.sleep(0.05)
        raise AssertionError(f"not arrived; {[e['type'] for _, e in self.arrived]}; bad {self.bad}")


def call(method, url, token, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method, headers={
        "Authorization": f"Bearer {token}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=15) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def person(name):
    """A fresh account: tokens for the chat and for notifications."""
    tokens = sign_in(AUTH, f"{CHAT}/callback", f"{name}-{RUN}", uuid.uuid4().hex, register=True)
    status, _, text = Browser().request("POST", f"{AUTH}/oauth/token", {
        "grant_type": "refresh_token", "client_id": "web", "audience": "notification",
        "refresh_token": tokens["refresh_token"]})
    assert status == 200, (status, text)
    return tokens["access_token"], json.loads(text)["access_token"]


def kill_notification_service():
    """SIGKILL to this suite's NotificationService; its supervisor starts it again."""
    folder = os.path.realpath(os.path.join(os.environ["DATA_DIR"], "notification"))
    for path in glob.glob("/proc/[0-9]*"):
        try:
            if os.path.basename(os.readlink(f"{path}/exe")) != "NotificationService":
                continue
            with open(f"{path}/environ", "rb") as environment:
                values = dict(v.split("=", 1) for v in environment.read().decode().split("\0") if "=" in v)
        except OSError:
            continue
        if os.path.realpath(values.get("NOTIFICATION_DATA_DIR", "/")) == folder:
            os.kill(int(os.path.basename(path)), signal.SIGKILL)
            return
    raise AssertionError("NotificationService of this suite not found")


def write_and_read(writer, reader, text):
    sent = call("POST", f"{CHAT}/api/v1/rooms/lobby/messages", writer, {"text": text, "clientId": uuid.uuid4().hex})
    call("PUT", f"{CHAT}/api/v1/rooms/lobby/read", reader, {"roomSeq": sent["roomSeq"]})
    return (lambda e: e["type"] == "message.created" and e["data"]["id"] == sent["id"]
            and e["data"]["text"] == text), (
        lambda e: e["type"] == "receipt.read" and e["data"]["roomSeq"] == sent["roomSeq"])


def main():
    receiver = Receiver()
    ada, hooks = person("ada")
    bob, _ = person("bob")
    # Members of the lobby from their first act on, so that the endpoint's owner may hear of it.
    for who in (ada, bob):
        call("POST", f"{CHAT}/api/v1/rooms/lobby/join", who)
    endpoint = call("POST", f"{NOTIFICATION}/api/v1/endpoints", hooks, {
        "url": f"http://127.0.0.1:{receiver.port}/hooks", "types": ["message.*", "receipt.*"]})
    receiver.secret = endpoint["secret"]
    passed = 0

    message, receipt = write_and_read(ada, bob, f"first {RUN}")
    receiver.wait(message, 20)
    receiver.wait(receipt, 20)
    passed += 2
    print("ok   a message and a receipt arrived and verified")

    receiver.stop()
    expected = [write_and_read(ada, bob, f"while away {n} {RUN}") for n in range(3)]
    time.sleep(1)  # attempts are under way against a receiver that is not there
    kill_notification_service()
    expected += [write_and_read(ada, bob, f"while dead {n} {RUN}") for n in range(3)]
    receiver.start()
    for message, _ in expected:
        receiver.wait(message, 60)
        passed += 1
    receiver.wait(expected[-1][1], 60)
    passed += 1
    print("ok   what happened while receiver and service were down arrived and verified")

    assert not receiver.bad, receiver.bad
    ids = {}
    for identity, event in receiver.arrived:
        key = (event["type"], json.dumps(event["data"], sort_keys=True))
        assert ids.setdefault(key, identity) == identity, f"one event under two ids: {key}"
    print("ok   no event came under two ids")
    print(f"{passed + 1} passed, 0 failed")


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, urllib.error.HTTPError) as failure:
        detail = failure.read().decode() if isinstance(failure, urllib.error.HTTPError) else ""
        print(f"FAIL {failure} {detail}")
        print("0 passed, 1 failed")
        sys.exit(1)
