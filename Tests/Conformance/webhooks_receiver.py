#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NotificationService between a log and a receiver of other people's making.

Starts the service of BIN_DIR alone, plays the other two services to it, and judges every webhook with
the reference verifier of Standard Webhooks (PyPI: standardwebhooks). Along the way the receiver is down,
refuses and hangs, the secret is rotated, and the service is killed in the middle of its work. At the end
the books must balance: every message that was committed has been delivered, under one id each.

Environment: BIN_DIR, SEED (optional: repeats a run)
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from standardwebhooks import Webhook

SEED = int(os.environ.get("SEED", secrets.randbelow(1 << 31)))
RANDOM = random.Random(SEED)
OWNER = "u_3q2-7wAAAAAAAAAA"
KEY = secrets.token_bytes(32)
SECRET = secrets.token_hex(16)
KILLS = 5
BATCH = 40


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


class Others(http.server.BaseHTTPRequestHandler):
    """AuthService and ChatService, as far as NotificationService asks them anything."""

    protocol_version = "HTTP/1.1"
    log, alerts, lock = [], [], threading.Lock()

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/internal/keys":
            return self.answer(200, {"issuer": issuer(), "audience": "notification", "keys": [
                {"kid": "k1", "k": base64url(KEY), "alg": "HS256", "state": "active"}]})
        after, limit = int(query["after"]), int(query["limit"])
        # The one log serves for both: what is no account's business passes the auth reader by.
        deadline = time.monotonic() + min(float(query.get("wait", 0)), 2)
        while len(self.log) <= after and time.monotonic() < deadline:
            time.sleep(0.01)
        with self.lock:
            page, head = self.log[after:after + limit], len(self.log)
        self.answer(200, {"source": "chat", "after": after, "head": head, "entries": page})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/oauth/token":
            return self.answer(200, {"access_token": "service", "token_type": "Bearer", "expires_in": 600})
        self.alerts.append(json.loads(body))
        self.answer(202, {})

    def log_message(self, *arguments):
        pass

    @classmethod
    def append(cls, kind, data):
        with cls.lock:
            seq = len(cls.log) + 1
            cls.log.append({
                "seq": seq, "at": stamp(), "type": kind, "room": "lobby", "roomSeq": seq,
                "visibility": "public", "user": {"id": OWNER, "name": "ada"}, "data": data})
            return seq


class Receiver(http.server.BaseHTTPRequestHandler):
    """Verifies what comes; its mood decides what it answers."""

    protocol_version = "HTTP/1.1"
    keys, mood, ids, bodies, failures = [], "good", {}, {}, []
    hung, lock = 0, threading.Lock()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            for key in self.keys:
                event = Webhook(key).verify(body, dict(self.headers))
        except Exception as error:
            self.failures.append(repr(error))
            return self.reply(400)
        identity = self.headers["webhook-id"]
        with self.lock:
            if self.bodies.setdefault(identity, body) != body:
                self.failures.append(f"{identity} came with other bytes")
        if self.mood == "refusing":
            return self.reply(503, {"Retry-After": "1"})
        if self.mood == "hanging":
            with self.lock:
                type(self).hung += 1
            time.sleep(3)
            return self.close()
        with self.lock:
            self.ids.setdefault(event["sequence"], set()).add(identity)
        self.reply(204)

    def reply(self, status, fields=()):
        self.send_response(status)
        for name, value in dict(fields).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def close(self):
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        """A killed peer leaves broken connections behind: no news."""


def serve(handler):
    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def issuer():
    return OTHERS


def token(scope):
    now = int(time.time())
    parts = [{"alg": "HS256", "typ": "at+jwt", "kid": "k1"}, {
        "iss": issuer(), "aud": "notification", "sub": OWNER, "client_id": "web", "iat": now,
        "exp": now + 600, "jti": secrets.token_hex(8), "scope": scope, "name": "ada"}]
    text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return text + "." + base64url(hmac.digest(KEY, text.encode(), hashlib.sha256))


class Service:
    """The process under test."""

    def __init__(self, directory):
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [f"{os.environ['BIN_DIR']}/NotificationService"], stdout=sys.stderr, env={
                **os.environ, "NOTIFICATION_PORT": str(self.port), "LOG_LEVEL": "error",
                "NOTIFICATION_DATA_DIR": str(self.directory), "CHAT_URL": OTHERS, "AUTH_URL": OTHERS,
                "AUTH_ISSUER": issuer(), "NOTIFICATION_SERVICE_SECRET": SECRET, "REDIS_URL": "",
                "NOTIFICATION_SERVICE_SECRET_FILE": "", "NOTIFICATION_ALLOW_HTTP": "1",
                "NOTIFICATION_ALLOW_NETWORKS": "127.0.0.0/8", "http_proxy": "http://127.0.0.1:1"})
        until(lambda: self.call("GET", "/readyz")[0] == 200, "ready")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=20) == 0, "SIGTERM did not end in exit code 0"

    def call(self, method, path, body=None, scope="notifications"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token(scope)}", "Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except OSError:
            return 0, None


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def post(count):
    for _ in range(count):
        text = RANDOM.choice(["hi", "h\u00e9llo \U0001f98a", "quote \" and \\ and \n", "x" * 4000])
        SENT.append(Others.append("message.created", {"text": text}))


def settled():
    with Receiver.lock:
        return all(seq in Receiver.ids for seq in SENT)


def main():
    with tempfile.TemporaryDirectory() as directory:
        service = Service(pathlib.Path(directory) / "notification")
        service.start()
        try:
            scenario(service)
            service.stop()
        finally:
            if service.process.poll() is None:
                service.kill()


def scenario(service):
    status, endpoint = service.call("POST", "/api/v1/endpoints", {
        "url": RECEIVER + "/hook", "types": ["message.*", "alert.*"]})
    assert status == 201, endpoint
    path = f"/api/v1/endpoints/{endpoint['id']}"
    Receiver.keys = [endpoint["secret"]]
    for url in (OTHERS, "http://10.0.0.1/", "http://169.254.169.254/", "http://[::ffff:10.0.0.1]/"):
        assert service.call("POST", "/api/v1/endpoints", {"url": url})[0] == 422, url

    status, result = service.call("POST", path + "/test")
    assert status == 200 and result["delivered"], result

    Others.append("member.joined", {"member": {"id": OWNER, "name": "ada"}})
    post(BATCH)
    until(settled, "the first messages")

    # Both secrets sign through the overlap; the reference verifier takes either.
    status, rotated = service.call("POST", path + "/rotate-secret", {"overlapSeconds": 3600})
    assert status == 200, rotated
    Receiver.keys = [endpoint["secret"], rotated["secret"]]
    post(BATCH)
    until(settled, "messages through a rotation")

    Receiver.mood = "refusing"
    post(5)
    until(lambda: len(Receiver.bodies) > 2 * BATCH + 1, "a refused attempt")
    Receiver.mood = "good"
    until(settled, "messages that were refused at first")

    for _ in range(KILLS):
        Receiver.mood = RANDOM.choice(["good", "hanging"])
        post(BATCH)
        time.sleep(RANDOM.uniform(0, 0.3))
        service.kill()
        Receiver.mood = "good"
        post(RANDOM.randrange(3))
        service.start()
    until(settled, "messages around the kills")

    status, answer = service.call(
        "POST", "/api/v1/alerts", {"severity": "critical", "text": "disk"}, scope="alerts")
    assert status == 202, answer
    until(lambda: [alert["id"] for alert in Others.alerts] == [answer["id"]], "the alert at ChatService")

    assert not Receiver.failures, Receiver.failures[:5]
    assert all(len(Receiver.ids[seq]) == 1 for seq in SENT), "a message came under two ids"
    # With the alert; test calls are not in the books.
    until(lambda: ledger(service) == {"delivered": len(SENT) + 1}, "the books in balance")


def ledger(service):
    """Deliveries by state, over all pages."""
    states, before = {}, ""
    while True:
        _, page = service.call("GET", f"/api/v1/deliveries?limit=200{before}")
        for delivery in page["deliveries"]:
            states[delivery["state"]] = states.get(delivery["state"], 0) + 1
        if page["next"] is None:
            return states
        before = f"&before={page['next']}"


SENT = []
OTHERS, RECEIVER = serve(Others), serve(Receiver)

if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        print(f"webhooks: FAILED with SEED={SEED}: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"webhooks: {len(SENT)} messages delivered and verified, {KILLS} kills, none lost")
