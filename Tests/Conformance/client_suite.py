# SPDX-License-Identifier: MIT
"""python-socketio, unmodified, against the `support` profile: events, answers and binary on both
transports and through the upgrade. Takes SUPPORT_URL; ends with the line `N passed, N failed`."""

import asyncio
import os
import sys
import traceback

import socketio

URL = os.environ["SUPPORT_URL"]


async def connected(transports, namespaces=("/",), **rest):
    client = socketio.AsyncClient(reconnection=False)
    await client.connect(URL, transports=transports, namespaces=list(namespaces), **rest)
    return client


def next_event(client, event, namespace="/"):
    """A future of the arguments of the next such event, without the recovery offset."""
    future = asyncio.get_running_loop().create_future()
    client.on(event, lambda *args: future.done() or future.set_result(args[:-1]), namespace=namespace)
    return future


async def events(transports):
    client = await connected(transports)
    back = next_event(client, "mirrored")
    await client.emit("mirror", ("a", 1, None, {"b": [True, "漢😀"]}))
    assert await asyncio.wait_for(back, 5) == ("a", 1, None, {"b": [True, "漢😀"]})
    assert await client.call("echo", {"x": 1}) == {"x": 1}
    assert await asyncio.gather(*(client.call("echo", n) for n in range(10))) == list(range(10))
    await client.disconnect()


async def binary(transports):
    client = await connected(transports)
    back = next_event(client, "doge")
    await client.emit("doge")
    assert await asyncio.wait_for(back, 5) == (b"asdfasdf",)
    back = next_event(client, "jsonbuff-ack")
    await client.emit("jsonbuff", {"hello": "lol", "message": b"\0\xff", "goodbye": "gotcha"})
    await asyncio.wait_for(back, 5)
    large = bytes(range(256)) * 2000
    assert await client.call("echo", large) == large
    back = next_event(client, "mirrored")
    await client.emit("mirror", ({"a": [b"1", {"b": b"2"}]}, b"3"))
    assert await asyncio.wait_for(back, 5) == ({"a": [b"1", {"b": b"2"}]}, b"3")
    await client.disconnect()


async def rooms(transports):
    one, two = await connected(transports), await connected(transports)
    room = "python-" + "-".join(transports)
    assert await two.call("join", room) == [room]
    back = next_event(two, "fromRoom")
    await one.emit("toRoom", (room, b"x", 2))
    assert await asyncio.wait_for(back, 5) == (room, b"x", 2)
    two.on("question", lambda question: f"{question}!")
    answered = asyncio.get_running_loop().create_future()
    await one.emit("askRoom", (room, "well"), callback=lambda *args: answered.set_result(args))
    assert await asyncio.wait_for(answered, 5) == ("ok", ["well!"])
    await one.disconnect()
    await two.disconnect()


async def namespaces(transports):
    client = await connected(transports, ("/", "/foo"))
    assert await client.call("getId", namespace="/foo") == client.get_sid("/foo")
    assert await client.call("getId") == client.get_sid("/")
    await client.disconnect()


async def refusals(transports):
    for namespace, message in (("/no", "Auth failed (custom namespace)"), ("/nowhere", "Invalid namespace")):
        client = socketio.AsyncClient(reconnection=False)
        reason = asyncio.get_running_loop().create_future()
        client.on("connect_error", lambda data, r=reason: r.done() or r.set_result(data), namespace=namespace)
        try:
            await client.connect(URL, transports=transports, namespaces=[namespace])
        except socketio.exceptions.ConnectionError:
            pass
        assert (await asyncio.wait_for(reason, 5))["message"] == message
        await client.disconnect()


async def ended_by_the_server(transports):
    client = await connected(transports)
    gone = asyncio.get_running_loop().create_future()
    client.on("disconnect", lambda *_: gone.done() or gone.set_result(True))
    await client.emit("disconnectMe", True)
    await asyncio.wait_for(gone, 5)


async def main():
    results = []
    for transports in (["websocket"], ["polling"], ["polling", "websocket"]):
        for case in (events, binary, rooms, namespaces, refusals, ended_by_the_server):
            name = f"{case.__name__.replace('_', ' ')} over {'+'.join(transports)}"
            try:
                await asyncio.wait_for(case(transports), 30)
                results.append(True)
                print(f"ok    {name}")
            except Exception:
                results.append(False)
                print(f"FAIL  {name}\n{traceback.format_exc()}")
    print(f"python-socketio: {results.count(True)} passed, {results.count(False)} failed")
    sys.exit(results.count(False) > 0)


asyncio.run(main())
