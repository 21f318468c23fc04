# SPDX-License-Identifier: MIT
"""What the protocol tests have in common: a ConformanceServer of their own, clients for its two
transports, and a runner that ends with the line `N passed, N failed`.

Takes BIN_DIR from the environment: where `ConformanceServer` lies.
"""

import asyncio
import json
import os
import subprocess
import sys
import traceback

import aiohttp

SEPARATOR = "\x1e"


class Server:
    """A ConformanceServer of one profile on a free port, for the length of a `with`."""

    def __init__(self, profile):
        self.profile = profile

    def __enter__(self):
        program = os.path.join(os.environ.get("BIN_DIR", ".build/release"), "ConformanceServer")
        self.process = subprocess.Popen(
            [program, "--profile", self.profile, "--port", "0"], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        if line[:1] != ["ready"]:
            raise SystemExit(f"{program} did not become ready")
        self.url = line[1]
        self.port = int(self.url.rsplit(":", 1)[1])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        if self.process.wait(timeout=10) != 0:
            raise SystemExit(f"ConformanceServer ended with {self.process.returncode}")


class Client:
    """What one test talks through; closes everything it opened."""

    def __init__(self, server, path):
        self.server = server
        self.base = server.url + path
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self.sockets = []

    async def close(self):
        for socket in self.sockets:
            await socket.close()
        await self.http.close()

    def url(self, transport="polling", **query):
        query = {"EIO": "4", "transport": transport, **query}
        return self.base + "?" + "&".join(f"{k}={v}" for k, v in query.items() if v is not None)

    async def request(self, method="GET", body=None, headers=None, url=None, **query):
        """Status, body text and headers of one request."""
        if body is not None:
            headers = {"content-type": "text/plain;charset=UTF-8", **(headers or {})}
        async with self.http.request(
                method, url or self.url(**query), data=body, headers=headers) as answer:
            return answer.status, (await answer.read()).decode("utf-8", "replace"), answer.headers

    async def open(self):
        """A new polling session: its id."""
        status, text, _ = await self.request()
        assert status == 200, (status, text)
        return json.loads(text[1:])["sid"]

    async def get(self, sid, **rest):
        status, text, _ = await self.request(sid=sid, **rest)
        return status, text

    async def post(self, sid, body, headers=None):
        if isinstance(body, str):
            body = body.encode()
        status, text, _ = await self.request("POST", body, headers, sid=sid)
        return status, text

    async def packets(self, sid, skip=("2", "6")):
        """The packets of the next poll that brings more than pings."""
        while True:
            status, text = await self.get(sid)
            assert status == 200, (status, text)
            found = [packet for packet in text.split(SEPARATOR) if packet not in skip]
            if "2" in text.split(SEPARATOR):
                await self.post(sid, "3")
            if found:
                return found

    async def websocket(self, sid=None, **rest):
        url = self.url("websocket", sid=sid, **rest).replace("http", "ws", 1)
        socket = await self.http.ws_connect(url, autoping=True, max_msg_size=1 << 26)
        self.sockets.append(socket)
        return socket


async def receive(socket, skip=("2",), timeout=3):
    """The next message: text, bytes, or None when the connection ends. Answers pings."""
    while True:
        message = await asyncio.wait_for(socket.receive(), timeout)
        if message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            if message.data == "2" and "2" in skip:
                await socket.send_str("3")
            if message.data not in skip:
                return message.data
        else:
            return None


async def ends(socket, timeout=3):
    """Reads until the connection ends, and answers nothing."""
    async def drain():
        while True:
            message = await socket.receive()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return
    await asyncio.wait_for(drain(), timeout)


async def refused(client, **query):
    """Status of a WebSocket handshake that must be refused, and its body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    target = client.url("websocket", **query)[len(client.server.url):]
    writer.write(
        f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert "connection: close" in lines, lines
    return int(lines[0].split()[1]), body.decode(), lines


TESTS = []


def test(body):
    """Registers an async test `body(client)` under its docstring or name."""
    TESTS.append(body)
    return body


async def run_all(server, path, only, parallel=3):
    gate = asyncio.Semaphore(parallel)
    results = []

    async def run(body):
        name = body.__name__.replace("_", " ")
        if only and not any(part in name for part in only):
            return
        async with gate:
            client = Client(server, getattr(body, "path", path))
            try:
                await asyncio.wait_for(body(client), 30)
                results.append(True)
                print(f"ok    {name}", flush=True)
            except Exception:
                results.append(False)
                print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)
            finally:
                await client.close()

    await asyncio.gather(*(run(body) for body in TESTS))
    return results


def main(profile, path):
    """Runs the registered tests, those whose name holds an argument if there are arguments."""
    with Server(profile) as server:
        results = asyncio.run(run_all(server, path, sys.argv[1:]))
        alive = server.process.poll() is None
    if not alive:
        print("FAIL  the server ended")
        results.append(False)
    failed = results.count(False)
    print(f"{profile}: {results.count(True)} passed, {failed} failed")
    sys.exit(1 if failed or not results else 0)
