# SPDX-License-Identifier: MIT
"""Other people's HTTP and WebSocket clients against ConformanceServer. Ends with `N passed, N failed`."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import traceback

import websockets

from conformance import Server

OPEN = "/engine.io/?EIO=4&transport=polling"
NODE = """
const { WebSocket } = require(require('fs').existsSync('/usr/share/nodejs/ws') ? '/usr/share/nodejs/ws' : 'ws')
const socket = new WebSocket(process.argv[1], { perMessageDeflate: process.argv[2] === '1' })
const sent = ['text ü😀', '', Buffer.from([0, 255]), Buffer.alloc(0), 'x'.repeat(200000), Buffer.alloc(5000000, 7)]
let got = 0
socket.on('open', () => { socket.ping('beat'); for (const one of sent) socket.send(one) })
let pongs = 0
socket.on('pong', (data) => { pongs += String(data) === 'beat' })
socket.on('message', (data, isBinary) => {
  const wanted = sent[got++]
  const same = isBinary ? Buffer.compare(data, wanted) === 0 : String(data) === wanted
  if (!same || isBinary !== Buffer.isBuffer(wanted)) { console.log('differs', got); process.exit(1) }
  if (got === sent.length) socket.close(3000, 'done')
})
socket.on('close', (code) => { console.log(code, pongs); process.exit(code === 3000 && pongs === 1 ? 0 : 1) })
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


def curl(*arguments):
    code, out, err = run("curl", "-sS", "-m", "10", *arguments)
    assert code == 0, (arguments, code, err)
    return out


def python_websockets(compression):
    async def talk(url):
        async with websockets.connect(url, compression=compression, max_size=None) as socket:
            for message in ("ü😀", "", b"\0\xff", b"", "x" * 300_000, bytes(3_000_000)):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["fragments ", "of ", "one"])
            assert await socket.recv() == "fragments of one"
            await asyncio.wait_for(await socket.ping(), 5)
    return lambda echo, _: asyncio.run(talk(echo.url.replace("http", "ws", 1) + "/any"))


def node_ws(deflate):
    def check(echo, _):
        code, out, err = run("node", "-e", NODE, echo.url.replace("http", "ws", 1), deflate)
        assert code == 0, out + err
    return check


def curl_keeps_its_connection(_, server):
    url = server.url + OPEN
    out = curl("-v", url, url, url, "--stderr", "-")
    assert out.count("Re-using existing connection") == 2, out


def curl_posts_and_polls(_, server):
    sid = json.loads(curl(server.url + OPEN)[1:])["sid"]
    url = f"{server.url}{OPEN}&sid={sid}"
    assert curl("-H", "content-type: text/plain", "--data-binary", "4hello", url) == "ok"
    assert "4hello" in curl(url).split("\x1e")


def curl_waits_for_continue(_, server):
    sid = json.loads(curl(server.url + OPEN)[1:])["sid"]
    out = curl("-v", "--stderr", "-", "-H", "Expect: 100-continue", "-H", "content-type: text/plain",
               "--data-binary", "4" + "x" * 2000, f"{server.url}{OPEN}&sid={sid}")
    assert "HTTP/1.1 100 Continue" in out and "HTTP/1.1 200 OK" in out, out


def curl_sends_chunks(_, server):
    sid = json.loads(curl(server.url + OPEN)[1:])["sid"]
    assert curl("-H", "Transfer-Encoding: chunked", "-H", "content-type: text/plain", "--data-binary", "4x",
                f"{server.url}{OPEN}&sid={sid}") == "ok"


def curl_heads_and_old_versions(_, server):
    assert curl("-I", server.url + OPEN).startswith("HTTP/1.1 400")
    assert curl("-I", server.url + "/nothing").startswith("HTTP/1.1 404")
    assert curl("-0", server.url + OPEN)[0] == "0"


def curl_asks_before_a_page_does(_, server):
    out = curl("-i", "-X", "OPTIONS", "-H", "Origin: https://a.example", "-H",
               "Access-Control-Request-Method: PUT", server.url + OPEN)
    assert "PUT" in re.search(r"(?i)access-control-allow-methods: (.*)", out)[1], out


def wrk_asks_for_all_it_can(_, server):
    if not shutil.which("wrk"):
        return
    code, out, err = run("wrk", "-t1", "-c32", "-d2s", server.url + "/nothing")
    assert code == 0 and "Socket errors" not in out, out + err


def h2load_pipelines(_, server):
    if not shutil.which("h2load"):
        return
    code, out, err = run("h2load", "--h1", "-n", "2000", "-c", "10", "-m", "8", server.url + "/nothing")
    assert code == 0 and "2000 done" in out and "0 errored" in out, out + err


CASES = {
    "python websockets": python_websockets(None), "python websockets, compressed": python_websockets("deflate"),
    "node ws": node_ws("0"), "node ws, compressed": node_ws("1"),
    **{f.__name__.replace("_", " "): f for f in (
        curl_keeps_its_connection, curl_posts_and_polls, curl_waits_for_continue, curl_sends_chunks,
        curl_heads_and_old_versions, curl_asks_before_a_page_does, wrk_asks_for_all_it_can, h2load_pipelines)},
}


def main():
    failed = 0
    with Server("echo") as echo, Server("protocol") as server:
        for name, case in CASES.items():
            try:
                case(echo, server)
                print(f"ok    {name}")
            except Exception:
                failed += 1
                print(f"FAIL  {name}\n{traceback.format_exc()}")
    print(f"outside clients: {len(CASES) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
