# SPDX-License-Identifier: MIT
"""python-socketio through a balancer that is not sticky: polling only, and upgraded.

Takes KEPT_URL, FRESH_URL (two kinds of balancer), INSTANCES, DATA_DIR and BIN_DIR from the
environment. Each client says so much and must hear everything everybody says.
"""

import os
import subprocess
import sys
import threading
import time
import uuid

import socketio

RUN = uuid.uuid4().hex[:8]
EACH = 15


def token(name):
    command = [
        os.path.join(os.environ["BIN_DIR"], "chatctl"), "token",
        "--data-dir", os.environ["DATA_DIR"], "--user", f"{name}-{RUN}",
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Talker:
    def __init__(self, name, url, transports):
        self.name = name
        self.heard = set()
        self.failures = []
        self.socket = socketio.Client(reconnection=False)
        self.socket.on("message", self.hear)
        self.socket.on("disconnect", lambda *_: self.failures.append("disconnected"))
        self.done = False
        self.socket.connect(url, auth={"token": token(name)}, transports=transports)

    def hear(self, message, *_):
        if message["text"].startswith(RUN):
            self.heard.add(message["text"])

    def talk(self):
        for number in range(EACH):
            answer = self.socket.call(
                "message:send", {"room": "lobby", "text": f"{RUN} {self.name} {number}"}, timeout=20)
            if not answer.get("ok"):
                self.failures.append(str(answer))
            time.sleep(0.05)


def main():
    talkers = []
    for number in range(4):
        talkers.append(Talker(f"kept{number}", os.environ["KEPT_URL"], ["polling"]))
        talkers.append(Talker(f"fresh{number}", os.environ["FRESH_URL"], ["polling"]))
    for number in range(4):
        talkers.append(Talker(f"up{number}", os.environ["KEPT_URL"], ["polling", "websocket"]))
    for number, url in enumerate(os.environ["INSTANCES"].split()):
        talkers.append(Talker(f"direct{number}", url, ["websocket"]))
    threads = [threading.Thread(target=one.talk) for one in talkers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = len(talkers) * EACH
    end = time.monotonic() + 30
    while time.monotonic() < end and any(len(one.heard) < expected for one in talkers):
        time.sleep(0.05)
    failed = 0
    for one in talkers:
        if len(one.heard) != expected or one.failures:
            failed += 1
            print(f"{one.name} over {one.socket.transport()}: {len(one.heard)} of {expected} {one.failures}")
        if one.name.startswith("up") and one.socket.transport() != "websocket":
            failed += 1
            print(f"{one.name} did not upgrade")
    for one in talkers:
        one.socket.disconnect()
    print(f"python: {len(talkers) - failed} of {len(talkers)} clients heard all {expected} messages")
    sys.exit(failed != 0)


main()
