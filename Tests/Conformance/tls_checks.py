# SPDX-License-Identifier: MIT
"""ChatService as an HTTPS server, looked at from outside.

Takes AUTH_URL, DATA_DIR and BIN_DIR of a running suite from the environment, starts a ChatService of
its own that speaks TLS with certificates made here, and ends with the line `N passed, N failed`.
Names of checks as arguments run those alone.
"""

import asyncio
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.request
import uuid

WORK = pathlib.Path(tempfile.mkdtemp(prefix="chat-tls-"))
RUN = uuid.uuid4().hex[:8]
HERE = pathlib.Path(__file__).parent
CLIENTS = 500
# Far more than it takes: what hangs is a failure, not a wait.
SECONDS = 150


def run(*command, **options):
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60, **options)


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def certificate(name, hosts, key="ec"):
    """A pair of PEM files, put in place by renaming, as careful tools do."""
    algorithm = ["rsa:2048"] if key == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ",".join(f"DNS:{host}" for host in hosts)
    made = run(
        "openssl", "req", "-x509", "-nodes", "-newkey", *algorithm, "-keyout", WORK / "new.key",
        "-out", WORK / "new.crt", "-subj", f"/CN={hosts[0]}", "-days", "30",
        "-addext", f"subjectAltName={names},IP:127.0.0.1")
    assert made.returncode == 0, made.stderr
    os.replace(WORK / "new.key", WORK / f"{name}.key")
    os.replace(WORK / "new.crt", WORK / f"{name}.crt")
    return WORK / f"{name}.crt", WORK / f"{name}.key"


def token(name):
    made = run(
        os.path.join(os.environ["BIN_DIR"], "chatctl"), "token", "--data-dir",
        os.environ["DATA_DIR"], "--user", f"{name}-{RUN}", "--ttl", "600")
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


class Service:
    """A ChatService of our own beside the suite's, with its own data and TLS.

    It ends with this process, however that ends, because its standard input does."""

    running = []

    def __init__(self, certificates, **settings):
        self.port = free_port()
        self.url = f"https://localhost:{self.port}"
        self.log = WORK / f"service-{self.port}.log"
        environment = dict(os.environ)
        environment.update(
            CHAT_PORT=str(self.port), CHAT_DATA_DIR=str(WORK / f"data-{self.port}"),
            UNLIMITED="1", SUPERVISED="1",
            CHAT_SERVICE_SECRET_FILE=os.path.join(
                os.environ["DATA_DIR"], "secrets", "chat-service"),
            TLS_CERT_FILE=",".join(str(pair[0]) for pair in certificates),
            TLS_KEY_FILE=",".join(str(pair[1]) for pair in certificates),
            CHAT_LOOPS="2")
        environment.update(settings)
        self.process = subprocess.Popen(
            [os.path.join(os.environ["BIN_DIR"], "ChatService")], env=environment,
            stdout=subprocess.DEVNULL, stderr=open(self.log, "w"), stdin=subprocess.PIPE)
        Service.running.append(self.process)
        self.trust = certificates[0][0]
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log.read_text()}")

    def get(self, path):
        context = ssl.create_default_context(cafile=self.trust)
        try:
            with urllib.request.urlopen(self.url + path, context=context, timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None


def s_client(port, *flags, send=b"", seconds=20):
    """What s_client prints; it ends when its input does."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *map(str, flags)]
    made = subprocess.run(command, input=send, capture_output=True, timeout=seconds)
    return (made.stdout + made.stderr).decode(errors="replace")


# What openssl s_client finds.

def protocols(service):
    for flag, version in (("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")):
        said = s_client(service.port, flag)
        assert f"New, {version}" in said, said
    for flag in ("-tls1", "-tls1_1"):
        # Level 0, or the client itself would not offer them.
        said = s_client(service.port, flag, "-cipher", "ALL:@SECLEVEL=0")
        assert "Cipher is (NONE)" in said and "alert protocol version" in said, said


def ciphers(service):
    good = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ]
    listed = run("openssl", "ciphers", "-s", "-tls1_2", "ALL:@SECLEVEL=0").stdout.strip().split(":")
    taken = [
        cipher for cipher in listed
        if "Cipher is (NONE)" not in s_client(
            service.port, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
    ]
    assert sorted(taken) == sorted(good), taken
    for cipher in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        said = s_client(service.port, "-tls1_3", "-ciphersuites", cipher)
        assert f"Cipher is {cipher}" in said, said


def key_exchange(service):
    for group in ("X25519", "P-256", "P-384"):
        said = s_client(service.port, "-groups", group)
        assert "Cipher is (NONE)" not in said, group
    for group in ("ffdhe2048", "ffdhe8192"):
        said = s_client(service.port, "-tls1_3", "-groups", group)
        assert "Cipher is (NONE)" in said, group


def alpn(service):
    for offered, chosen in (("http/1.1", "http/1.1"), ("h2,http/1.1", "http/1.1")):
        said = s_client(service.port, "-alpn", offered)
        assert f"ALPN protocol: {chosen}" in said, said
    said = s_client(service.port, "-alpn", "h2")
    assert "no application protocol" in said and "Cipher is (NONE)" in said, said
    assert "No ALPN negotiated" in s_client(service.port)


def server_names(service):
    for name, subject in (
        ("localhost", "CN = localhost"), ("other.example", "CN = other.example"),
        ("a.wild.example", "CN = *.wild.example"), ("unknown.example", "CN = localhost"),
    ):
        said = s_client(service.port, "-servername", name)
        assert f"subject={subject}" in said, (name, said)


def resumption(service):
    for flag in ("-tls1_2", "-tls1_3"):
        kept = WORK / f"session{flag}"
        request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        first = s_client(service.port, flag, "-sess_out", kept, "-ign_eof", send=request)
        assert first.count("New, TLS") == 1 and "Reused" not in first, first
        second = s_client(service.port, flag, "-sess_in", kept, "-ign_eof", send=request)
        assert "Reused, TLS" in second, second
        assert "HTTP/1.1 200" in second, second


def renegotiation(service):
    said = s_client(service.port, "-tls1_2", send=b"R\n")
    assert "no renegotiation" in said, said
    assert "Secure Renegotiation IS supported" in said, said


def compression_and_old_attacks(service):
    said = s_client(service.port, "-tls1_2")
    assert "Compression: NONE" in said, said
    # A client that is held to a protocol it need not fall back to (RFC 7507).
    said = s_client(service.port, "-tls1_2", "-fallback_scsv")
    assert "inappropriate fallback" in said, said


# RFC 9112 §9.8: a server MUST exchange closure alerts before it closes
def close_notify(service):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for flag in ("-tls1_2", "-tls1_3"):
        said = s_client(service.port, flag, "-ign_eof", send=request)
        assert "HTTP/1.1 200" in said and "closed" in said, said
        assert "unexpected eof" not in said, said


def plain_http_is_told(service):
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while part := client.recv(4096):
            answer += part
    assert answer.startswith(b"HTTP/1.1 400 ") and b"tls_required" in answer, answer


# Clients.

def curl(service):
    said = run(
        "curl", "-sS", "--cacert", service.trust, "--compressed", "-w", "\n%{http_code} %{http_version}",
        f"{service.url}/healthz", f"{service.url}/readyz")
    assert said.returncode == 0 and said.stdout.count("200 1.1") == 2, (said.stdout, said.stderr)
    assert run("curl", "-sS", f"{service.url}/healthz").returncode == 60  # not trusted


def python_client(service):
    import socketio

    import requests

    for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
        session = requests.Session()
        session.verify = str(service.trust)
        session.trust_env = False  # REQUESTS_CA_BUNDLE would be taken before `verify`
        people, heard = [], []
        for name in ("ada", "bob"):
            # Its threads read and write one SSL object at a time of their own choosing, which loses a
            # connection in a thousand at its beginning (github.com/miguelgrinberg/python-engineio, 461): so it
            # may try again, as it does unless told not to.
            for attempt in (1, 2, 3):
                client = socketio.Client(
                    reconnection=False, http_session=session,
                    websocket_extra_options={"sslopt": {"ca_certs": str(service.trust)}})
                client.on("message", lambda data, name=name: heard.append((name, data["text"])))
                try:
                    client.connect(
                        service.url, auth={"token": token(name)}, transports=transports,
                        wait_timeout=5)
                    break
                except socketio.exceptions.ConnectionError as error:
                    if attempt == 3 or "Unexpected" not in str(error):
                        raise
                    print(f"  {name} over {transports}: {error}; again")
            people.append(client)
        text = f"over TLS {transports}"
        answer = people[0].call("message:send", {"room": "lobby", "text": text}, timeout=10)
        assert answer["ok"], answer
        deadline = time.monotonic() + 10
        while ("bob", text) not in heard and time.monotonic() < deadline:
            time.sleep(0.01)
        assert ("bob", text) in heard, heard
        for client in people:
            client.disconnect()


def javascript_client(service):
    said = run(
        "node", HERE / "tls_client.mjs",
        env={
            **os.environ, "CHAT_URL": service.url, "NODE_EXTRA_CA_CERTS": str(service.trust),
            "TOKEN_A": token("ada"), "TOKEN_B": token("bob"),
        })
    assert said.returncode == 0, (said.stdout, said.stderr)


def pages_of_this_origin_and_of_no_other(service):
    path = "/socket.io/?EIO=4&transport=polling"
    for origin, code in (
        (service.url, "200"), (service.url.replace("https", "http"), "400"),
        ("https://evil.example", "400"),
    ):
        said = run(
            "curl", "-sS", "--cacert", service.trust, "-H", f"Origin: {origin}", "-o", "/dev/null",
            "-w", "%{http_code}", service.url + path)
        assert (said.stdout == "200") == (code == "200"), (origin, said.stdout)


# Two processes.

class Session:
    """One polling session whose requests go to either of two instances, each over one kept connection."""

    def __init__(self, services, name):
        context = ssl.create_default_context(cafile=services[0].trust)
        self.links = [
            http.client.HTTPSConnection("localhost", one.port, context=context, timeout=20) for one in services]
        self.path = "/socket.io/?EIO=4&transport=polling"
        self.path += "&sid=" + json.loads(self.ask(0)[1:])["sid"]
        self.inbox = []
        self.send(0, "40" + json.dumps({"token": token(name)}))
        self.until(0, "42[\"session\"")

    def ask(self, link, body=None):
        self.links[link].request("GET" if body is None else "POST", self.path, body)
        answer = self.links[link].getresponse()
        text = answer.read().decode()
        assert answer.status == 200, (link, answer.status, text)
        return text

    def send(self, link, packet):
        assert self.ask(link, packet.encode()) == "ok"

    def until(self, link, prefix):
        while True:
            for packet in self.inbox:
                if packet.startswith(prefix):
                    self.inbox.remove(packet)
                    return packet
            for packet in self.ask(link).split("\x1e"):
                if packet == "2":
                    self.send(link, "3")
                else:
                    self.inbox.append(packet)


def passed_requests(service):
    found = re.search(r"(?m)^instance_requests_passed_total (\d+)", service.get("/metrics")[1].decode())
    return int(found.group(1))


def a_connection_is_served_by_the_other_instance(_):
    pair = certificate("both", ["localhost"])
    first = Service([pair])
    second = Service([pair], CHAT_DATA_DIR=str(WORK / f"data-{first.port}"))
    session = Session([first, second], "wanderer")
    # Requests of one session by turns over connections whose TLS ends in different processes.
    for number in range(20):
        text = "x" * (3900 if number % 2 else 5) + str(number)
        asked = json.dumps(["message:send", {"room": "lobby", "text": text}])
        session.send(number % 2, f"42{number}{asked}")
        assert '"ok":true' in session.until((number + 1) % 2, f"43{number}["), number
    # Much in both directions at once: pages of history, and bodies longer than a buffer of the pump's.
    for number in range(100, 110):
        packets = [f'42{number}["history:fetch",{{"room":"lobby","limit":200}}]'] + ["42[\"no\"]"] * 9000
        session.send(1, "\x1e".join(packets))
        assert len(session.until(1, f"43{number}[")) > 30_000
    # A connection that was handed over stays where it went: it is counted once.
    assert passed_requests(second) >= 1
    # The session goes over to a WebSocket that arrives at the other process.
    asyncio.run(upgrade_elsewhere(session, second))
    # One instance ends: what it had handed over is closed, and the other goes on.
    assert second.stop() == 0, second.log.read_text()
    assert first.get("/healthz")[0] == 200
    assert first.stop() == 0, first.log.read_text()


async def upgrade_elsewhere(session, service):
    import websockets

    context = ssl.create_default_context(cafile=service.trust)
    url = service.url.replace("https", "wss") + session.path.replace("polling", "websocket")
    async with websockets.connect(url, ssl=context, max_size=None) as peer:
        await peer.send("2probe")
        assert await asyncio.wait_for(peer.recv(), 5) == "3probe"
        await peer.send("5")
        for number in range(200, 220):
            await peer.send(f'42{number}["history:fetch",{{"room":"lobby","limit":200}}]')
            while True:
                packet = await asyncio.wait_for(peer.recv(), 5)
                if packet.startswith(f"43{number}["):
                    break
                if packet == "2":
                    await peer.send("3")
        await asyncio.wait_for(await peer.ping(), 5)


# Settings.

def wrong_files_stop_the_start(service):
    pair = certificate("stray", ["localhost"])
    for settings, words in (
        ({"TLS_CERT_FILE": "/nowhere.crt", "TLS_KEY_FILE": str(pair[1])}, "/nowhere.crt"),
        ({"TLS_CERT_FILE": str(pair[0])}, "TLS_KEY_FILE"),
        ({"TLS_CERT_FILE": str(pair[0]), "TLS_KEY_FILE": str(WORK / "first.key")}, "does not belong"),
        ({"PROXY_PROTOCOL": "1"}, "TRUSTED_PROXIES"),
    ):
        environment = {**os.environ, "CHAT_PORT": "0", "CHAT_DATA_DIR": str(WORK / "none")}
        said = run(
            os.path.join(os.environ["BIN_DIR"], "ChatService"), env={**environment, **settings})
        assert said.returncode == 64, (settings, said.returncode, said.stderr)
        assert said.stderr.count("\n") == 1 and words in said.stderr, said.stderr


# A certificate changed under live clients.

class Live:
    """One `wss://` client: Engine.IO and Socket.IO by hand, so that five hundred cost little."""

    def __init__(self, socket_, token_):
        self.socket = socket_
        self.token = token_
        self.acks = asyncio.Queue()
        self.is_open = True

    async def run(self):
        async for message in self.socket:
            text = message.data
            if text == "2":
                await self.socket.send_str("3")
            elif text.startswith("0"):
                await self.socket.send_str("40" + json.dumps({"token": self.token}))
            elif text.startswith("40"):
                self.acks.put_nowait("connected")
            elif text.startswith("43"):
                self.acks.put_nowait(text)
            elif text.startswith("44"):
                self.acks.put_nowait("refused " + text)
        self.is_open = False

    async def ask(self):
        await self.socket.send_str('421["room:list",{}]')
        return await asyncio.wait_for(self.acks.get(), 30)


async def swap(service):
    import aiohttp

    def trusting():
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context

    def shown():
        with socket.create_connection(("127.0.0.1", service.port), timeout=5) as raw:
            with trusting().wrap_socket(raw, server_hostname="localhost") as secure:
                return hashlib.sha256(secure.getpeercert(True)).hexdigest()

    async def shows(other_than, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            digest = await asyncio.to_thread(shown)
            if digest != other_than:
                return digest
            await asyncio.sleep(0.1)
        raise AssertionError("the new certificate was not seen")

    tokens = [token(f"live{number}") for number in range(10)]
    url = f"wss://localhost:{service.port}/socket.io/?EIO=4&transport=websocket"
    connector = aiohttp.TCPConnector(limit=0, ssl=trusting())
    async with aiohttp.ClientSession(connector=connector) as session:
        clients, tasks = [], []
        began = time.monotonic()
        for first in range(0, CLIENTS, 50):
            sockets = await asyncio.gather(
                *(session.ws_connect(url, max_msg_size=0) for _ in range(50)))
            for number, one in enumerate(sockets):
                client = Live(one, tokens[(first + number) % len(tokens)])
                clients.append(client)
                tasks.append(asyncio.create_task(client.run()))
        for client in clients:
            said = await asyncio.wait_for(client.acks.get(), 30)
            assert said == "connected", said
        print(f"  {CLIENTS} wss:// clients in {time.monotonic() - began:.1f} s")

        async def all_answer():
            answers = await asyncio.gather(*(client.ask() for client in clients))
            assert all('"ok":true' in answer for answer in answers), answers[:3]
            assert all(client.is_open for client in clients)

        await all_answer()
        before = shown()
        memory = resident(service.process.pid)
        # Noticed by itself.
        certificate("first", ["localhost"])
        second = await shows(other_than=before)
        await all_answer()
        # On SIGHUP.
        certificate("first", ["localhost"])
        service.process.send_signal(signal.SIGHUP)
        third = await shows(other_than=second, seconds=2)
        await all_answer()
        # One that is none.
        (WORK / "first.crt").write_text("not a certificate\n")
        service.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(1)
        assert shown() == third
        assert "certificates kept as they were" in service.log.read_text()
        await all_answer()
        dropped = sum(not client.is_open for client in clients)
        print(
            f"  {CLIENTS} clients live through 2 changes and 1 bad file: {dropped} dropped; "
            f"{memory / 1024:.0f} MB resident")
        assert dropped == 0
        for client in clients:
            await client.socket.close()
        await asyncio.gather(*tasks)
    certificate("first", ["localhost"])
    await shows(other_than=third)


def a_certificate_changed_under_live_clients(service):
    asyncio.run(swap(service))


def drains_in_order(service):
    assert service.stop() == 0, service.log.read_text()


# Handshakes a second.

def resident(pid):
    """KiB."""
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1))


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(pid, port, flags, seconds=2):
    """Handshakes a second of two s_time clients, and the server's CPU time for each."""
    began, spent = time.monotonic(), cpu_seconds(pid)
    clients = [
        subprocess.Popen(
            ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-time", str(seconds), *flags],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [client.communicate(timeout=60)[0] for client in clients]
    elapsed, used = time.monotonic() - began, cpu_seconds(pid) - spent
    counts = [int(re.search(r"(\d+) connections in \d+ real seconds", text).group(1)) for text in said]
    return sum(counts) / elapsed, used / max(1, sum(counts)) * 1e6


def handshakes(service):
    rows = []
    for kind in ("ec", "rsa"):
        name = {"ec": "ECDSA P-256", "rsa": "RSA 2048"}[kind]
        pair = certificate(f"rate-{kind}", ["localhost"], kind)
        port = free_port()
        other = subprocess.Popen(
            ["openssl", "s_server", "-accept", str(port), "-cert", pair[0], "-key", pair[1], "-quiet"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE)
        ours = Service([pair], CHAT_LOOPS="1", LOG_LEVEL="error")
        try:
            for label, flags in (
                ("TLS 1.3 full", ["-new", "-tls1_3"]), ("TLS 1.2 full", ["-new", "-tls1_2"]),
                ("TLS 1.2 resumed", ["-reuse", "-tls1_2"]),
            ):
                mine = rate(ours.process.pid, ours.port, flags)
                theirs = rate(other.pid, port, flags)
                rows.append((name, label, *mine, *theirs))
        finally:
            ours.stop()
            other.kill()
            other.wait()
    print("  | key | handshake | ChatService /s | its CPU, us each | s_server /s | its CPU, us each |")
    print("  |---|---|---|---|---|---|")
    for name, label, mine, mine_cpu, theirs, theirs_cpu in rows:
        print(
            f"  | {name} | {label} | {mine:,.0f} | {mine_cpu:,.0f} | {theirs:,.0f} | {theirs_cpu:,.0f} |")
        # Most of it is OpenSSL's own work: what is ours beside it must not be the larger part.
        assert mine > theirs / 2, (label, mine, theirs)


CHECKS = [
    protocols, ciphers, key_exchange, alpn, server_names, resumption, renegotiation,
    compression_and_old_attacks, close_notify, plain_http_is_told, curl, python_client,
    javascript_client, pages_of_this_origin_and_of_no_other, a_connection_is_served_by_the_other_instance,
    wrong_files_stop_the_start,
    a_certificate_changed_under_live_clients, handshakes, drains_in_order,
]


def interrupted(number, _):
    raise SystemExit(f"ended by {signal.Signals(number).name}; all is to be done in {SECONDS} s")


def main():
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, interrupted)
    signal.alarm(SECONDS)
    wanted = sys.argv[1:]
    unknown = set(wanted) - {check.__name__ for check in CHECKS}
    if unknown:
        sys.exit(f"no check is called {', '.join(sorted(unknown))}")
    passed = failed = 0
    try:
        service = Service([
            certificate("first", ["localhost"]), certificate("second", ["other.example"]),
            certificate("third", ["*.wild.example"]),
        ])
        for check in CHECKS:
            if wanted and check.__name__ not in wanted:
                continue
            began = time.monotonic()
            try:
                check(service)
                passed += 1
                print(f"ok    {check.__name__}  {time.monotonic() - began:.1f} s", flush=True)
            except Exception:
                failed += 1
                print(f"FAILED {check.__name__}\n{traceback.format_exc()}", flush=True)
    finally:
        for process in Service.running:
            process.kill()
            process.wait()
        shutil.rmtree(WORK, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
