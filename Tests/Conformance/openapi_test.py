#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every documented route against the live services, and every route of the sources against the document.

Environment: CHAT_URL AUTH_URL NOTIFICATION_URL DATA_DIR BIN_DIR
"""
import http.server
import os
import pathlib
import secrets
import subprocess
import threading
import time
import urllib.parse

from oauth_login import Browser, Form, base64url, sign_in
from openapi_document import Document

CHAT, AUTH, NOTIFICATION = (os.environ[name] for name in ("CHAT_URL", "AUTH_URL", "NOTIFICATION_URL"))
DATA, BIN = pathlib.Path(os.environ["DATA_DIR"]), os.environ["BIN_DIR"]
RUN = secrets.token_hex(3)
PASSWORD = "correct horse battery staple"
document = Document({"chat": CHAT, "auth": AUTH, "notification": NOTIFICATION})
call = document.call


def chatctl_token(name, *flags):
    return subprocess.run(
        [f"{BIN}/chatctl", "token", "--data-dir", str(DATA), "--user", name, *flags],
        check=True, capture_output=True, text=True, timeout=60).stdout.split()[0]


def service_token(client, audience, scope):
    secret = (DATA / "secrets" / client).read_text().strip()
    return call("token", 200, basic=(client, secret), form={
        "grant_type": "client_credentials", "audience": audience, "scope": scope}).json["access_token"]


def operation():
    """Health and metrics of all three."""
    for service in ("chat", "auth", "notification"):
        call("healthz", 200, service=service)
        assert call("readyz", 200, service=service).json["status"] != "failed"
        assert b"# TYPE" in call("metrics", 200, service=service).body


def chat():
    """Rooms and messages: the good way, and the documented way of each mistake."""
    ada, bob = chatctl_token(f"ada{RUN}"), chatctl_token(f"bob{RUN}")
    assert call("getWebConfiguration", 200).json["issuer"] == AUTH
    assert call("getMe", 200, token=ada).json["name"] == f"ada{RUN}"
    call("getMe", 401)
    call("getMe", 401, token="eyJhbGciOiJub25lIn0.e30.")
    call("getMe", 401, headers={"Authorization": "Basic YTpi"})

    assert any(room["id"] == "lobby" for room in call("listRooms", 200, token=ada).json["rooms"])
    call("listRooms", 401)
    created = call("createRoom", 201, token=ada, body={
        "name": f"garden {RUN}", "visibility": "public", "topic": "What grows"}).json
    room = {"room": created["room"]["id"]}
    assert created["room"]["role"] == "owner"
    call("createRoom", 409, token=bob, body={"name": f"garden {RUN}", "visibility": "public"})
    call("createRoom", 400, token=ada, body={"topic": "no name"})
    call("createRoom", 400, token=ada, body={"name": 7})
    call("createRoom", 400, token=ada, raw=b'{"name": "x"')
    call("createRoom", 400, token=ada, raw=b'{"name": "a", "name": "b"}')
    call("createRoom", 401, body={"name": "x"})
    hidden = {"room": call("createRoom", 201, token=ada, body={
        "name": f"shed {RUN}", "visibility": "private"}).json["room"]["id"]}

    call("getRoom", 200, token=ada, path=room)
    call("getRoom", 404, token=ada, path={"room": "nowhere"})
    call("getRoom", 404, token=bob, path=hidden)
    call("getRoom", 401, path=room)
    call("joinRoom", 200, token=bob, path=room)
    call("joinRoom", 200, token=bob, path=room)
    call("joinRoom", 404, token=bob, path=hidden)
    call("joinRoom", 401, path=room)

    sent = call("sendMessage", 201, token=ada, path=room, body={"text": "hello ✨", "clientId": "one"}).json
    again = call("sendMessage", (200, 201), token=ada, path=room,
                 body={"text": "hello ✨", "clientId": "one"}).json
    assert again == sent, (again, sent)
    call("sendMessage", 201, token=bob, path=room, body={"text": "and back", "replyTo": sent["id"]})
    call("sendMessage", 400, token=ada, path=room, body={"text": 5})
    call("sendMessage", 400, token=ada, path=room, body={})
    call("sendMessage", 400, token=ada, path=room, raw=b"\xff\xfe")
    call("sendMessage", 413, token=ada, path=room, body={"text": "x" * 4001})
    call("sendMessage", (403, 404), token=bob, path=hidden, body={"text": "knock"})
    call("sendMessage", 404, token=ada, path={"room": "nowhere"}, body={"text": "x"})
    call("sendMessage", 401, path=room, body={"text": "x"})

    page = call("listMessages", 200, token=bob, path=room).json
    assert [m["text"] for m in page["messages"]] == ["hello ✨", "and back"], page
    assert page["messages"][0]["id"] == sent["id"] and not page["hasMore"]
    page = call("listMessages", 200, token=bob, path=room, query={"after": sent["roomSeq"], "limit": 1}).json
    assert [m["text"] for m in page["messages"]] == ["and back"]
    call("listMessages", 400, token=bob, path=room, query={"limit": 100000})
    call("listMessages", 400, token=bob, path=room, query={"before": "yesterday"})
    call("listMessages", (403, 404), token=bob, path=hidden)
    call("listMessages", 401, path=room)

    call("markRead", 200, token=bob, path=room, body={"roomSeq": sent["roomSeq"]})
    call("markRead", 400, token=bob, path=room, body={"roomSeq": "all"})
    call("markRead", 401, path=room, body={"roomSeq": 1})
    call("inviteMember", 201, token=ada, path=hidden, body={"user": f"bob{RUN}"})
    call("inviteMember", 404, token=ada, path=hidden, body={"user": "nobody-of-that-name"})
    call("inviteMember", 400, token=ada, path=hidden, body={})
    call("inviteMember", 401, path=hidden, body={"user": "x"})
    call("joinRoom", 200, token=bob, path=hidden)
    call("leaveRoom", 200, token=bob, path=hidden)
    call("leaveRoom", (403, 404), token=bob, path=hidden)
    call("leaveRoom", 401, path=hidden)


def oauth():
    """Pages, grants, tokens."""
    assert call("getAuthorizationServerMetadata", 200).json["issuer"] == AUTH
    redirect = CHAT + "/callback"
    browser = Browser()
    tokens = sign_in(AUTH, redirect, f"eve{RUN}", PASSWORD, register=True, browser=browser)
    access, refresh = tokens["access_token"], tokens["refresh_token"]
    assert call("userinfo", 200, token=access).json["name"] == f"eve{RUN}"
    call("userinfo", 401)
    call("userinfo", 401, token="x.y.z")

    asked = {"response_type": "code", "client_id": "web", "redirect_uri": redirect, "state": "s",
             "code_challenge": base64url(bytes(32)), "code_challenge_method": "S256"}
    call("authorize", 303, query=asked)
    call("authorize", 400, query={**asked, "redirect_uri": "https://evil.example/callback"})
    call("authorize", 400, query={**asked, "client_id": "nobody"})
    for wrong in ({"response_type": "token"}, {"code_challenge_method": "plain"}):
        location = call("authorize", 303, query={**asked, **wrong}).headers["Location"]
        answer = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)
        assert "error" in answer and answer["iss"] == [AUTH], location

    call("loginPage", 200)
    call("registerPage", 200)
    call("login", (400, 403), form={"username": "ada", "password": "x"})
    call("register", (400, 403), form={"username": "ada", "password": "x"})
    wrong = Browser()
    page = Form(wrong.request("GET", AUTH + "/login")[2])
    fields = {name: value for name, value in page.fields.items()}
    fields["username"], fields[page.password] = f"eve{RUN}", "not the password at all"
    cookies = {"Cookie": "; ".join(f"{k}={v}" for k, v in wrong.cookies.items()), "Origin": AUTH}
    call("login", 403, form=fields, headers=cookies)
    call("loginPage", 400, query={"next": "//evil.example/"})
    call("logoutPage", 303)
    call("logoutPage", 400, query={"post_logout_redirect_uri": "https://evil.example/"})
    call("logout", 403, form={})
    assert call("authRoot", 303).headers["Location"] == "/account"
    call("accountPage", 303)
    mine = {"Cookie": "; ".join(f"{k}={v}" for k, v in browser.cookies.items())}
    assert f"eve{RUN}".encode() in call("accountPage", 200, headers=mine).body
    call("endSession", 403, form={"session": "all"}, headers=mine)
    call("endSession", 400, form={}, headers=mine)
    call("decideAuthorization", 400, form={})
    call("decideAuthorization", 403, form={"request": "client_id=web", "decision": "allow"})

    call("token", 400, form={"grant_type": "password", "client_id": "web", "username": "a", "password": "b"})
    call("token", 400, form={"grant_type": "authorization_code", "client_id": "web", "code": "nonsense",
                             "redirect_uri": redirect, "code_verifier": "v" * 43})
    call("token", 401, basic=("chat-service", "wrong"), form={"grant_type": "client_credentials"})
    call("token", 400, raw=b"{}")
    renewed = call("token", 200, form={
        "grant_type": "refresh_token", "client_id": "web", "refresh_token": refresh}).json

    chat_secret = (DATA / "secrets" / "chat-service").read_text().strip()
    service = ("chat-service", chat_secret)
    assert call("introspect", 200, basic=service, form={"token": access}).json["active"] is True
    assert call("introspect", 200, basic=service, form={"token": "unknown"}).json == {"active": False}
    call("introspect", 401, form={"token": access})
    call("revoke", 200, form={"token": "unknown", "client_id": "web"})
    call("revoke", 200, form={"token": renewed["refresh_token"], "client_id": "web"})
    call("token", 400, form={
        "grant_type": "refresh_token", "client_id": "web", "refresh_token": renewed["refresh_token"]})
    return service


def internal(service):
    """Between the services."""
    keys = call("getKeys", 200, basic=service, query={"audience": "chat"}).json
    assert keys["issuer"] == AUTH and any(key["state"] == "active" for key in keys["keys"])
    call("getKeys", 403, basic=service, query={"audience": "notification"})
    call("getKeys", 401, query={"audience": "chat"})
    call("getKeys", 401, basic=(service[0], "wrong"), query={"audience": "chat"})

    reader = {"chat": service_token("notification-service", "chat", "internal:log"),
              "auth": service_token("notification-service", "auth", "internal:log")}
    person = chatctl_token(f"ada{RUN}")
    for source, token in reader.items():
        page = call("readLog", 200, service=source, token=token, query={"after": 0, "limit": 5}).json
        assert page["source"] == source and page["entries"], page
        assert page["entries"][0]["seq"] > 0 and len(page["entries"]) <= 5
        call("readLog", 200, service=source, token=token, query={"after": page["head"], "wait": 1})
        call("readLog", 400, service=source, token=token, query={"after": "x"})
        call("readLog", 401, service=source)
        call("readLog", (401, 403), service=source, token=person)

    alerter = service_token("notification-service", "chat", "internal:alert")
    alert = {"id": f"a{RUN}", "severity": "info", "text": "maintenance at noon", "ttl": 60}
    call("broadcastAlert", 202, token=alerter, body=alert)
    call("broadcastAlert", 400, token=alerter, body={**alert, "severity": "loud"})
    call("broadcastAlert", 401, body=alert)
    call("broadcastAlert", 403, token=person, body=alert)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers what its path says: /200, /500 …"""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def notification():
    """Endpoints, deliveries, alerts."""
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    hook = f"http://127.0.0.1:{receiver.server_port}"
    name = f"hook{RUN}"
    owner = sign_in(AUTH, CHAT + "/callback", name, PASSWORD, register=True,
                    scope="notifications")["access_token"]
    other = sign_in(AUTH, CHAT + "/callback", f"other{RUN}", PASSWORD, register=True,
                    scope="notifications")["access_token"]
    speaker = chatctl_token(name)

    for operation_id, path in (("listEndpoints", {}), ("listDeliveries", {}),
                               ("getEndpoint", {"id": "ep_x"}), ("getDelivery", {"id": "msg_x"})):
        call(operation_id, 401, path=path)
        call(operation_id, 401, path=path, token=speaker)
    created = call("createEndpoint", 201, token=owner, body={
        "url": hook + "/200", "types": ["message.*"], "rooms": ["lobby"], "description": "all well"})
    endpoint, tag = {"id": created.json["id"]}, created.headers["ETag"]
    call("createEndpoint", 409, token=owner, body={
        "url": hook + "/200", "types": ["message.*"], "rooms": ["lobby"]})
    call("createEndpoint", 400, token=owner, body={"types": ["message.*"]})
    call("createEndpoint", 400, token=owner, body={"url": hook, "tpyes": []})
    call("createEndpoint", 422, token=owner, body={"url": "http://169.254.169.254/latest"})
    call("createEndpoint", 422, token=owner, body={"url": hook, "headers": {"Host": "evil"}})
    call("createEndpoint", 401, body={"url": hook})
    assert "secret" not in call("getEndpoint", 200, token=owner, path=endpoint).json
    call("getEndpoint", 404, token=other, path=endpoint)
    assert len(call("listEndpoints", 200, token=owner).json["endpoints"]) == 1
    assert call("listEndpoints", 200, token=other).json["endpoints"] == []
    call("changeEndpoint", 412, token=owner, path=endpoint, body={"enabled": True}, headers={"If-Match": '"99"'})
    changed = call("changeEndpoint", 200, token=owner, path=endpoint,
                   body={"description": "still well"}, headers={"If-Match": tag})
    assert changed.json["version"] == created.json["version"] + 1
    call("changeEndpoint", 400, token=owner, path=endpoint, body={"enabled": "yes"})
    call("changeEndpoint", 404, token=other, path=endpoint, body={"enabled": False})
    call("changeEndpoint", 401, path=endpoint, body={"enabled": False})
    rotated = call("rotateSecret", 200, token=owner, path=endpoint, body={"overlapSeconds": 60}).json
    assert rotated["secret"] != created.json["secret"] and rotated["previousSecretUntil"]
    call("rotateSecret", 400, token=owner, path=endpoint, body={"overlapSeconds": -1})
    call("rotateSecret", 404, token=other, path=endpoint)
    call("rotateSecret", 401, path=endpoint)
    assert call("testEndpoint", 200, token=owner, path=endpoint).json["delivered"] is True
    call("testEndpoint", 404, token=other, path=endpoint)
    call("testEndpoint", 401, path=endpoint)

    # One message, delivered; the owner is in the lobby because they were connected or sent to it.
    call("sendMessage", 201, token=speaker, path={"room": "lobby"}, body={"text": f"for the hook {RUN}"})
    deadline, deliveries = time.monotonic() + 20, []
    while not deliveries and time.monotonic() < deadline:
        deliveries = call("listDeliveries", 200, token=owner, query={
            "endpoint": endpoint["id"], "state": "delivered"}).json["deliveries"]
        time.sleep(0.2)
    assert deliveries, "the message's webhook was not delivered within 20 s"
    delivery = {"id": deliveries[0]["id"]}
    detail = call("getDelivery", 200, token=owner, path=delivery).json
    assert detail["payload"]["data"]["text"] == f"for the hook {RUN}" and detail["attemptLog"][0]["status"] == 200
    call("getDelivery", 404, token=other, path=delivery)
    call("listDeliveries", 400, token=owner, query={"state": "lost"})
    call("retryDelivery", (202, 409), token=owner, path=delivery)
    call("retryDelivery", 404, token=other, path=delivery)
    call("retryDelivery", 401, path=delivery)

    # Alerts take the role admin, which only the operator gives.
    subprocess.run([f"{BIN}/chatctl", "user", "add", f"operator{RUN}", "--data-dir", str(DATA),
                    "--role", "admin", "--password-stdin"],
                   check=True, capture_output=True, text=True, timeout=60, input=PASSWORD + "\n")
    operator = sign_in(AUTH, CHAT + "/callback", f"operator{RUN}", PASSWORD,
                       scope="alerts")["access_token"]
    alert = {"severity": "warning", "text": "maintenance at noon", "ttl": 60}
    key = {"Idempotency-Key": f"key-{RUN}"}
    first = call("raiseAlert", 202, token=operator, body=alert, headers=key).json["id"]
    assert call("raiseAlert", 202, token=operator, body=alert, headers=key).json["id"] == first
    call("raiseAlert", 409, token=operator, body={**alert, "ttl": 61}, headers=key)
    call("raiseAlert", 400, token=operator, body={**alert, "severity": "loud"})
    call("raiseAlert", 403, token=owner, body=alert)
    call("raiseAlert", 401, body=alert)

    call("deleteEndpoint", 404, token=other, path=endpoint)
    call("deleteEndpoint", 401, path=endpoint)
    call("deleteEndpoint", 204, token=owner, path=endpoint)
    call("deleteEndpoint", 404, token=owner, path=endpoint)
    receiver.shutdown()


def main():
    missing = document.undocumented()
    assert not missing, "routes without documentation:\n  " + "\n  ".join(missing)
    operation()
    chat()
    internal(oauth())
    notification()
    unseen = document.unseen()
    assert not unseen, f"documented but never called: {unseen}"
    print(f"openapi: {document.checked} answers of {len(document.operations)} operations are as documented")


main()
