#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two people chat in two browsers, through the real sign-in page and the real server.

usage: chat_test.py --url http://127.0.0.1:3001 --accounts FILE [--artifacts DIR]

Starts nothing itself. Each step prints a line; the first that fails leaves a picture of both
browsers in DIR. The last line is the verdict.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Route, expect, sync_playwright

from people import MESSAGE_ID, PATIENCE_MS, Person, arguments, launch, read_accounts

# A reload must not take longer than people wait for one.
RELOAD_MS = 5_000
# After a lost connection: the client's back-off, and the server's grace.
RECONNECT_MS = 20_000
HISTORY = 70
WINDOW = {"width": 1280, "height": 800}
# What a page sees when a proxy answers the upgrade with an error.
REFUSED_WEBSOCKET = """
window.WebSocket = class {
    constructor() { setTimeout(() => this.onerror(new Event('error')), 5); }
    close() {}
};
"""


class Conversation:
    """The steps share two people and whatever has been said; each leaves the lobby open."""

    def __init__(self, ada: Person, bo: Person, tag: str):
        self.ada = ada
        self.bo = bo
        self.tag = tag

    def text(self, words: str) -> str:
        """Unlike anything an earlier run has left in the same rooms."""
        return f"{words} {self.tag}"

    def sign_in(self) -> None:
        self.ada.sign_in()
        self.bo.sign_in()
        for person in (self.ada, self.bo):
            address = person.page.url
            assert "code=" not in address and "state=" not in address, address
            stored = person.page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
            assert "token" not in stored and "ey" not in stored, "a token lies in storage"

    def presence(self) -> None:
        for person, other in ((self.ada, self.bo), (self.bo, self.ada)):
            expect(person.person(other.name)).to_have_attribute("data-state", "online")
        self.ada.page.locator(".own-menu .menu-button").click()
        self.ada.page.get_by_role("menuitemradio", name="Do not disturb").click()
        expect(self.bo.person(self.ada.name)).to_have_attribute("data-state", "dnd")
        self.ada.page.locator(".own-menu .menu-button").click()
        self.ada.page.get_by_role("menuitemradio", name="Online").click()
        expect(self.bo.person(self.ada.name)).to_have_attribute("data-state", "online")

    def both_ways(self) -> None:
        question, answer = self.text("is anybody here?"), self.text("I am.")
        self.ada.say(question)
        expect(self.bo.message(question)).to_be_visible()
        self.bo.say(answer)
        expect(self.ada.message(answer)).to_be_visible()
        for person in (self.ada, self.bo):
            ours = [text for text in person.texts() if text in (question, answer)]
            assert ours == [question, answer], f"{person.name} sees {ours}"

    def typing(self) -> None:
        self.bo.page.locator("#composer").press_sequentially("hm, let me see", delay=100)
        line = self.ada.page.locator(".typing-line")
        expect(line).to_contain_text(f"{self.bo.name} is typing")
        self.bo.page.locator("#composer").fill("")
        expect(line).not_to_contain_text(self.bo.name)

    def receipt(self) -> None:
        self.ada.say(self.text("read this"))
        message = self.ada.message(self.text("read this"))
        expect(message).to_have_attribute("data-status", "read")
        expect(message.locator(".message-status")).to_have_attribute(
            "title", f"Read by {self.bo.name}"
        )

    def reply(self) -> None:
        original, answer = self.text("which one?"), self.text("the second one")
        self.ada.say(original)
        expect(self.ada.message(original)).to_have_attribute("data-message", MESSAGE_ID)
        self.bo.reply(original, answer)
        expect(self.ada.message(answer).locator(".quote")).to_contain_text(original)

    def order(self) -> None:
        """Sent without waiting, from both sides at once: both see all, once, in the same order."""
        wanted = {self.text(f"{name} {number}") for name in "ab" for number in range(12)}
        for number in range(12):
            self.ada.say(self.text(f"a {number}"))
            self.bo.say(self.text(f"b {number}"))
        seen = []
        for person in (self.ada, self.bo):
            expect(person.message(self.text("a 11"))).to_be_visible()
            expect(person.message(self.text("b 11"))).to_be_visible()
            expect(person.page.locator(".message.is-pending")).to_have_count(0)
            seen.append([text for text in person.texts() if text in wanted])
        assert len(seen[0]) == len(wanted), f"{len(seen[0])} of {len(wanted)} shown"
        assert seen[0] == seen[1], "the two see different orders"
        for name in "ab":
            own = [text for text in seen[0] if text.startswith(f"{name} ")]
            assert own == [self.text(f"{name} {number}") for number in range(12)], own

    def rooms(self) -> None:
        name = f"Plans {self.tag}"
        self.ada.create_room(name, topic="What comes next")
        self.bo.join_room(name)
        expect(self.ada.person(self.bo.name)).to_be_visible()
        self.bo.open_room("Lobby")
        before = self.bo.unread()
        self.ada.say(self.text("news"))
        self.ada.say(self.text("more news"))
        badge = self.bo.page.locator(".room-link", has_text=name).locator(".badge")
        expect(badge).to_have_text("2")
        expect(self.bo.page).to_have_title(f"({before + 2}) Chat")
        self.bo.open_room(name)
        expect(self.bo.page.locator(".divider-new")).to_be_visible()
        expect(badge).to_have_count(0)
        expect(self.bo.page).to_have_title(f"({before}) Chat" if before else "Chat")

    def invitation(self) -> None:
        name = f"Secret {self.tag}"
        self.ada.create_room(name, private=True)
        self.ada.say(self.text("before you came"))
        self.ada.page.get_by_role("button", name="Invite somebody").first.click()
        self.ada.page.locator("[name=invite-user]").fill(self.bo.name)
        self.ada.page.get_by_role("button", name="Invite", exact=True).click()
        invitation = self.bo.page.locator(".invitation", has_text=name)
        invitation.get_by_role("button", name="Join").click()
        expect(self.bo.message(self.text("before you came"))).to_be_visible()
        self.bo.page.get_by_role("button", name="Room actions").click()
        self.bo.page.get_by_role("menuitem", name="Leave room").click()
        expect(self.bo.page.locator(".room-link", has_text=name)).to_have_count(0)
        expect(self.ada.person(self.bo.name)).to_have_count(0)
        for person in (self.ada, self.bo):
            person.open_room("Lobby")

    def history(self) -> None:
        """A reload keeps the session; older messages come in above, and nothing jumps."""
        self.ada.create_room(f"Long {self.tag}")
        for number in range(HISTORY):
            self.ada.say(self.text(f"line {number}"))
        last = self.ada.message(self.text(f"line {HISTORY - 1}"))
        expect(last).to_have_attribute("data-status", "sent", timeout=3 * PATIENCE_MS)
        expect(self.ada.page.locator(".message.is-failed")).to_have_count(0)
        started = time.monotonic()
        self.ada.page.reload()
        expect(last).to_be_visible(timeout=RELOAD_MS)
        print(f"     reload to messages: {(time.monotonic() - started) * 1000:.0f} ms")
        messages = self.ada.page.locator(".messages")
        first = self.ada.message(self.text("line 0"))
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while first.count() == 0 and time.monotonic() < deadline:
            messages.evaluate("element => { element.scrollTop = 0 }")
            self.ada.page.wait_for_timeout(100)
        expect(first).to_be_attached()
        lines = [text for text in self.ada.texts() if text.startswith("line ")]
        assert lines == [self.text(f"line {number}") for number in range(HISTORY)], lines
        self.ada.open_room("Lobby")
        expect(self.ada.message(self.text("read this"))).to_have_count(1)

    def reconnect(self) -> None:
        """What is written while the line is down, on either side, arrives once when it is back."""
        self.bo.context.set_offline(True)
        expect(self.bo.page.locator(".banner")).to_contain_text("Reconnecting")
        missed, queued = self.text("you missed this"), self.text("written in a tunnel")
        self.ada.say(missed)
        self.bo.say(queued)
        expect(self.bo.message(queued)).to_have_attribute("data-status", "waiting")
        self.bo.context.set_offline(False)
        expect(self.bo.page.locator(".banner")).to_have_count(0, timeout=RECONNECT_MS)
        expect(self.bo.message(missed)).to_have_count(1)
        expect(self.ada.message(queued)).to_have_count(1)
        expect(self.bo.page.locator(".message.is-pending")).to_have_count(0)
        for person in (self.ada, self.bo):
            ours = [text for text in person.texts() if text in (missed, queued)]
            assert ours == [missed, queued], f"{person.name} sees {ours}"

    def refusal(self) -> None:
        """A text over the limit cannot be sent; the person is told by how much."""
        box = self.ada.page.locator("#composer")
        box.fill("x" * 4001)
        expect(self.ada.page.locator("#composer-count")).to_have_text("1 too many")
        expect(self.ada.page.get_by_role("button", name="Send")).to_be_disabled()
        box.fill("")

    def narrow(self) -> None:
        """Whatever is written, nothing is pushed out of a small window."""
        page = self.bo.page
        code = "let frame = try parser.next(in: bytes.span); " * 6
        self.ada.say(f"```\n{code}{self.tag}\n```")
        self.ada.say("https://example.org/" + "without-a-break" * 20 + self.tag)
        expect(page.locator(".message-text", has_text=self.tag).last).to_contain_text("break")
        for width in (1000, 700, 360):
            page.set_viewport_size({"width": width, "height": 700})
            for part in (".send-button", ".people-button", ".message-meta >> nth=-1"):
                box = page.locator(part).bounding_box()
                assert box and box["x"] >= 0 and box["x"] + box["width"] <= width, (width, part, box)
        page.get_by_role("link", name="All rooms").click()
        expect(page.locator(".room-list")).to_be_visible()
        page.set_viewport_size(WINDOW)
        self.bo.open_room("Lobby")

    def without_websocket(self) -> None:
        """Where something on the way refuses WebSocket, the client falls back to polling."""
        page = self.bo.page
        page.add_init_script(REFUSED_WEBSOCKET)
        page.reload()
        self.bo.is_ready()
        text = self.text("by polling")
        self.bo.say(text)
        expect(self.ada.message(text)).to_be_visible()
        answer = self.text("heard you")
        self.ada.say(answer)
        expect(self.bo.message(answer)).to_be_visible()

    def sign_out(self) -> None:
        revoked: list[str] = []

        def watch(route: Route) -> None:
            revoked.append(route.request.post_data or "")
            route.continue_()

        self.bo.context.route("**/oauth/revoke", watch)
        self.bo.page.locator(".own-menu .menu-button").click()
        self.bo.page.get_by_role("menuitem", name="Sign out").click()
        # The issuer asks whether the browser shall be signed out too.
        self.bo.page.get_by_role("button", name="Sign out").click()
        expect(self.bo.page.get_by_role("button", name="Sign in")).to_be_visible()
        assert self.bo.page.url.startswith(self.bo.url), self.bo.page.url
        expect(self.ada.person(self.bo.name)).to_have_attribute(
            "data-state", "offline", timeout=RECONNECT_MS
        )
        assert revoked, "no token was revoked"
        self.bo.page.get_by_role("button", name="Sign in").click()
        expect(self.bo.page.locator("[name=password]")).to_be_visible()


def check_config(url: str) -> None:
    """The page can be reached and asks nothing of other hosts."""
    with urllib.request.urlopen(f"{url}/config.json", timeout=5) as answer:
        config = json.load(answer)
    assert config["clientId"] == "web" and config["issuer"].startswith("http"), config


def main() -> int:
    chosen = arguments(__doc__ or "", **{"--artifacts": {"type": Path, "default": None}})
    accounts = read_accounts(chosen.accounts, 2)
    with sync_playwright() as playwright:
        browser = launch(playwright, chosen.browser)
        people = [
            Person(browser, chosen.url, name, password, viewport=WINDOW, color_scheme=scheme)
            for (name, password), scheme in zip(accounts, ("light", "dark"))
        ]
        talk = Conversation(people[0], people[1], secrets.token_hex(3))
        steps: list[Callable[[], None]] = [
            talk.sign_in,
            talk.presence,
            talk.both_ways,
            talk.typing,
            talk.receipt,
            talk.reply,
            talk.order,
            talk.rooms,
            talk.invitation,
            talk.history,
            talk.reconnect,
            talk.refusal,
            talk.narrow,
            talk.without_websocket,
            talk.sign_out,
        ]
        check_config(chosen.url)
        passed = 0
        for step in steps:
            started = time.monotonic()
            name = step.__name__.replace("_", " ")
            try:
                step()
            except Exception as error:  # noqa: BLE001: whatever it is, it is told with a picture
                print(f"not ok {name}\n{error}")
                if chosen.artifacts:
                    chosen.artifacts.mkdir(parents=True, exist_ok=True)
                    for person in people:
                        person.page.screenshot(path=chosen.artifacts / f"{name}-{person.name}.png")
                break
            passed += 1
            print(f"ok   {name} ({time.monotonic() - started:.1f} s)", flush=True)
        complaints = [text for person in people for text in person.complaints]
        browser.close()
    for complaint in complaints:
        print(f"page: {complaint}")
    failed = passed < len(steps) or bool(complaints)
    print(f"browser: {passed} of {len(steps)} steps passed" + (", FAILED" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
