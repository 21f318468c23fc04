# SPDX-License-Identifier: MIT
"""Hostile peers against the `support` profile, and waves of connects and disconnects.

Ordinary clients in a process of their own ask 20 times a second, each over WebSocket, and time the answers.
Prints a Markdown table: their p50 and p99 under each attack, the server's resident memory at its highest
and afterwards, its descriptors before and after. Ends with the line `N passed, N failed`.

usage: hostile.py [attacks] [waves]
"""

import asyncio
import multiprocessing
import os
import sys
import time
import zlib

import aiohttp

from conformance import Client, Server, receive

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "4"))
# What may be held for attackers: 512 connections' unread and unsent bytes, and the allocator's slack.
MEMORY_BOUND_MIB = 256


def ordinary(url, stop, results):
    """Twenty clients; every answer's time goes into `results`."""
    async def one(http, times):
        socket = await http.ws_connect(url.replace("http", "ws", 1) + "/socket.io/?EIO=4&transport=websocket")
        await receive(socket)
        await socket.send_str("40")
        await receive(socket)
        number = 0
        while not stop.is_set():
            began = time.perf_counter()
            await socket.send_str(f'42{number}["echo",{number}]')
            answer = await receive(socket, timeout=30)
            if answer != f"43{number}[{number}]":
                raise SystemExit(f"an ordinary client got {answer!r}")
            times.append(time.perf_counter() - began)
            number += 1
            await asyncio.sleep(0.05)
        await socket.close()

    async def all_of_them():
        times = []
        async with aiohttp.ClientSession() as http:
            await asyncio.gather(*(one(http, times) for _ in range(20)))
        results.put(times)

    asyncio.run(all_of_them())


class Watch:
    """The server's memory and descriptors."""

    def __init__(self, pid):
        self.pid = pid
        self.peak = 0.0

    def memory(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS"):
                    found = int(line.split()[1]) / 1024
                    self.peak = max(self.peak, found)
                    return found
        raise SystemExit("the server is gone")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    async def keep(self):
        while True:
            self.memory()
            await asyncio.sleep(0.05)


async def raw(server, *pieces, pause=0.0):
    """A connection that has sent these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for piece in pieces:
        writer.write(piece)
        if pause:
            await asyncio.sleep(pause)
    return reader, writer


UPGRADE = (b"GET /socket.io/?EIO=4&transport=websocket%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
           b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
           b"%s\r\n")


def frame(payload, opcode=1, final=True, rsv=0):
    count = len(payload)
    length = (bytes([0x80 | count]) if count < 126 else b"\xfe" + count.to_bytes(2, "big") if count < 65536
              else b"\xff" + count.to_bytes(8, "big"))
    return bytes([(0x80 if final else 0) | rsv << 4 | opcode]) + length + b"\0\0\0\0" + payload


async def websocket(server, *frames, extensions=b""):
    return await raw(server, UPGRADE % (b"", extensions), *frames)


async def pour(writer, chunk, until):
    """Writes for as long as the peer takes it."""
    try:
        while time.monotonic() < until:
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass


async def many(make, count):
    """That many connections, and what became of them."""
    return [pair for pair in await asyncio.gather(*(make() for _ in range(count)), return_exceptions=True)
            if not isinstance(pair, BaseException)]


async def drip(writers, until):
    """One byte to each, now and then."""
    while time.monotonic() < until:
        for writer in writers:
            writer.write(b"a")
        await asyncio.sleep(0.25)


async def slow_headers(server, until):
    pairs = await many(lambda: raw(server, b"GET /socket.io/ HTTP/1.1\r\nX-Slow: "), 500)
    await drip([w for _, w in pairs], until)
    return pairs


async def slow_bodies(server, until):
    pairs = await many(lambda: raw(
        server, b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n",
        b"4" * 1000), 500)
    await drip([w for _, w in pairs], until)
    return pairs


async def slow_frames(server, until):
    pairs = await many(lambda: websocket(server, b"\x81\xff" + (900_000).to_bytes(8, "big") + b"\0\0\0\0"), 500)
    await drip([w for _, w in pairs], until)
    return pairs


async def tiny_fragments(server, until):
    pairs = await many(lambda: websocket(server, frame(b"4", final=False)), 20)
    await asyncio.gather(*(pour(w, frame(b"", 0, False) * 500, until) for _, w in pairs))
    return pairs


async def pings(server, until):
    pairs = await many(lambda: websocket(server), 20)
    await asyncio.gather(*(pour(w, frame(b"x" * 100, 9) * 500, until) for _, w in pairs))
    return pairs


async def invalid_polls(server, until):
    client = Client(server, "/socket.io/")
    while time.monotonic() < until:
        async def one():
            sid = await client.open()
            await client.post(sid, "b" + "!" * 1000)
        await asyncio.gather(*(one() for _ in range(20)))
    await client.close()
    return []


async def half_open_upgrades(server, until):
    client = Client(server, "/socket.io/")
    sids = await asyncio.gather(*(client.open() for _ in range(1000)))
    pairs = []
    for sid in sids:
        pairs.append(await raw(server, UPGRADE % (b"&sid=" + sid.encode(), b"")))
    await asyncio.sleep(max(0, until - time.monotonic()))
    await client.close()
    return pairs


async def compression_bombs(server, until):
    packed = zlib.compress(bytes(64 << 20), 9)[2:-4]
    bomb = frame(packed, 2, rsv=4)
    offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    while time.monotonic() < until:
        for _, writer in await many(lambda: websocket(server, bomb, extensions=offer), 20):
            writer.close()
        await asyncio.sleep(0.05)
    return []


async def many_namespaces(server, until):
    pairs = await many(lambda: websocket(server), 20)
    body = b"".join(frame(b"40/%d," % n) for n in range(500))
    await asyncio.gather(*(pour(w, body, until) for _, w in pairs))
    return pairs


async def giant_ack_ids(server, until):
    while time.monotonic() < until:
        for _, writer in await many(
                lambda: websocket(server, frame(b"40"), frame(b"42" + b"9" * 900_000 + b'["echo"]')), 10):
            writer.close()
        await asyncio.sleep(0.05)
    return []


async def deep_json(server, until):
    deep = frame(b'42["echo",' + b"[" * 400_000 + b"]" * 400_000 + b"]")
    while time.monotonic() < until:
        for _, writer in await many(lambda: websocket(server, frame(b"40"), deep), 10):
            writer.close()
        await asyncio.sleep(0.05)
    return []


async def unanswered_questions(server, until):
    pairs = await many(lambda: websocket(server, frame(b"40")), 20)
    await asyncio.gather(*(pour(w, frame(b'42["ack"]') * 100, until) for _, w in pairs))
    return pairs


async def never_connect(server, until):
    pairs = []
    while time.monotonic() < until and len(pairs) < 3000:
        pairs += await many(lambda: websocket(server), 100)
    await asyncio.sleep(max(0, until - time.monotonic()))
    return pairs


async def never_read(server, until):
    async def make():
        reader, writer = await websocket(server, frame(b"40"))
        writer.transport.pause_reading()
        return reader, writer
    pairs = await many(make, 20)
    question = frame(b'42["mirror","' + b"y" * 4000 + b'"]') * 20
    await asyncio.gather(*(asyncio.wait_for(pour(w, question, until), SECONDS + 1) for _, w in pairs),
                         return_exceptions=True)
    return pairs


ATTACKS = [slow_headers, slow_bodies, slow_frames, tiny_fragments, pings, invalid_polls, half_open_upgrades,
           compression_bombs, many_namespaces, giant_ack_ids, deep_json, unanswered_questions, never_connect,
           never_read]


async def nothing(server, until):
    await asyncio.sleep(until - time.monotonic())
    return []


async def under(server, watch, attack):
    stop, results = multiprocessing.Event(), multiprocessing.Queue()
    people = multiprocessing.Process(target=ordinary, args=(server.url, stop, results))
    people.start()
    await asyncio.sleep(0.7)
    watch.peak = 0
    pairs = await attack(server, time.monotonic() + SECONDS)
    stop.set()
    times = sorted(await asyncio.to_thread(results.get, True, 40))
    people.join()
    for _, writer in pairs:
        writer.transport.abort()
    await asyncio.sleep(0.5)
    return [times[int(len(times) * part)] * 1000 for part in (0.5, 0.99)] + [len(times)]


async def attacks(server, watch):
    results = []
    print("| attack | p50 ms | p99 ms | answers | memory at most MiB | afterwards MiB | descriptors |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for attack in [nothing, *ATTACKS]:
        p50, p99, count = await under(server, watch, attack)
        await asyncio.sleep(0.5)
        peak = watch.peak
        print(f"| {attack.__name__.replace('_', ' ')} | {p50:.1f} | {p99:.1f} | {count} | {peak:.0f} | "
              f"{watch.memory():.0f} | {watch.descriptors()} |", flush=True)
        results.append(peak < MEMORY_BOUND_MIB)
    return results


async def waves(server, watch):
    results = []
    print("| transport | end | wave | connected | seconds | memory MiB | afterwards MiB | descriptors after |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    before = watch.descriptors()
    for name in ("websocket", "polling"):
        for end in ("clean", "abrupt"):
            settled = []
            for wave in range(1, 6):
                began = time.monotonic()
                pairs = []
                target = (UPGRADE % (b"", b"") if name == "websocket" else
                          b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n")
                for _ in range(50):
                    made = await many(lambda: raw(server, target), 100)
                    for reader, _ in made:
                        await reader.readuntil(b'"maxPayload":1000000}')
                    pairs += made
                top = watch.memory()
                for _, writer in pairs:
                    if end == "abrupt":
                        writer.transport.abort()
                    else:
                        if name == "websocket":
                            writer.write(frame(b"\x03\xe8", 8))
                        writer.close()
                seconds = time.monotonic() - began
                if name == "polling":
                    # A session outlives its connection until its ping has not been answered.
                    await asyncio.sleep(23)
                for _ in range(100):
                    if watch.descriptors() <= before:
                        break
                    await asyncio.sleep(0.1)
                settled.append(watch.memory())
                print(f"| {name} | {end} | {wave} | {len(pairs)} | {seconds:.1f} | {top:.0f} | "
                      f"{settled[-1]:.0f} | {watch.descriptors()} |", flush=True)
                results.append(len(pairs) == 5000 and watch.descriptors() <= before)
    return results


async def run(server, wanted):
    watch = Watch(server.process.pid)
    keeper = asyncio.create_task(watch.keep())
    results = []
    if "attacks" in wanted:
        results += await attacks(server, watch)
    if "waves" in wanted:
        results += await waves(server, watch)
    keeper.cancel()
    return results


if __name__ == "__main__":
    with Server("support") as server:
        results = asyncio.run(run(server, sys.argv[1:] or ["attacks", "waves"]))
    print(f"hostile: {results.count(True)} passed, {results.count(False)} failed")
    sys.exit(1 if False in results else 0)
