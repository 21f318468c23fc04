# SPDX-License-Identifier: MIT
"""Other people's HTTP and WebSocket clients against ConformanceServer, and curl asking the suite of CHAT_URL for
parts of a file of the web client. Ends with `N passed, N failed`."""

import asyncio
import email.utils
import json
import os
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


def part(*arguments):
    """One answer of the web client's page: status, fields, body."""
    code, out, err = run("curl", "-sS", "-m", "10", "-i", *arguments, os.environ["CHAT_URL"] + "/index.html")
    assert code == 0, (arguments, code, err)
    head, _, body = out.partition("\r\n\r\n")
    lines = head.split("\r\n")
    return int(lines[0].split()[1]), {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}, body


def curl_asks_for_one_range(*_):
    status, fields, whole = part()
    assert status == 200 and fields["accept-ranges"] == "bytes", fields
    count = len(whole.encode())
    for wanted, begin, end in (("0-9", 0, 10), ("-20", count - 20, count), ("10-", 10, count),
                               (f"5-{count + 100}", 5, count), (f"-{count + 5}", 0, count), ("0-0", 0, 1)):
        status, fields, body = part("-r", wanted)
        assert status == 206, (wanted, status)
        assert fields["content-range"] == f"bytes {begin}-{end - 1}/{count}", (wanted, fields)
        assert body.encode() == whole.encode()[begin:end] and int(fields["content-length"]) == end - begin, wanted


def curl_asks_for_ranges_there_are_not(*_):
    count = len(part()[2].encode())
    for wanted in (f"{count}-", f"{count}-{count + 9}", "-0"):
        status, fields, _ = part("-H", f"Range: bytes={wanted}")
        assert status == 416 and fields["content-range"] == f"bytes */{count}", (wanted, status, fields)
    # What is no range, or of another unit, is no question: the whole is the answer.
    for field in ("bytes=9-0", "bytes=x", "lines=0-9", "bytes=", "bytes=0-9,x"):
        assert part("-H", f"Range: {field}")[0] == 200, field


def curl_asks_for_several_ranges(*_):
    whole = part()[2]
    status, fields, body = part("-r", "0-4,10-14,-3")
    assert status == 206 and "content-range" not in fields, fields
    kind, _, boundary = fields["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges", fields
    assert body.endswith(f"\r\n--{boundary}--\r\n"), body[-80:]
    found = []
    for piece in body.split(f"\r\n--{boundary}")[1:-1]:
        head, _, content = piece.partition("\r\n\r\n")
        begin, end, count = map(int, re.search(r"(?i)content-range: bytes (\d+)-(\d+)/(\d+)", head).groups())
        assert count == len(whole.encode()) and content == whole[begin:end + 1], (head, content)
        found.append((begin, end))
    assert found == [(0, 4), (10, 14), (count - 3, count - 1)], found
    # One that is satisfiable is served; what lies over one another, or is very many, is not worth parts.
    assert part("-r", f"0-4,{10 ** 9}-")[0] == 206
    assert part("-r", "0-,0-,0-")[0] == 200
    assert part("-r", ",".join(f"{n}-{n}" for n in range(17)))[0] == 200


def curl_asks_for_a_range_on_condition(*_):
    fields = part()[1]
    tag, date = fields["etag"], fields["last-modified"]
    older = email.utils.formatdate(email.utils.parsedate_to_datetime(date).timestamp() - 60, usegmt=True)
    for condition, status in ((tag, 206), ('"another"', 200), (f"W/{tag}", 200), (date, 206), (older, 200)):
        assert part("-r", "0-9", "-H", f"If-Range: {condition}")[0] == status, condition
    # A precondition comes before the range (RFC 9110 §13.2.2), which is for GET alone.
    assert part("-r", "0-9", "-H", f"If-None-Match: {tag}")[0] == 304
    assert part("-r", "0-9", "-H", 'If-Match: "another"')[0] == 412
    assert part("-r", "0-9", "-I")[0] == 200


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
        curl_heads_and_old_versions, curl_asks_before_a_page_does, curl_asks_for_one_range,
        curl_asks_for_ranges_there_are_not, curl_asks_for_several_ranges, curl_asks_for_a_range_on_condition,
        wrk_asks_for_all_it_can, h2load_pipelines)},
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
