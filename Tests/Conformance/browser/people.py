# SPDX-License-Identifier: MIT
"""People at browsers: each has a context of their own and signs in through the real pages."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect

PATIENCE_MS = 10_000
# A message has an id from the server once it is stored.
MESSAGE_ID = re.compile(r"^m\d+$")
expect.set_options(timeout=PATIENCE_MS)
LAUNCH_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"]


def arguments(purpose: str, **options: dict[str, object]) -> argparse.Namespace:
    """--url and --accounts, by default what scripts/conformance.sh has put into the environment."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--url", default=os.environ.get("CHAT_URL", "http://127.0.0.1:3001"))
    parser.add_argument(
        "--accounts",
        type=Path,
        default=os.environ.get("ACCOUNTS"),
        help="file with a name and a password a line",
    )
    parser.add_argument("--browser", default=shutil.which("chromium"), help="path of Chromium")
    for name, option in options.items():
        parser.add_argument(name, **option)  # type: ignore[arg-type]
    chosen = parser.parse_args()
    if chosen.accounts is None:
        parser.error("--accounts is needed")
    return chosen


def read_accounts(path: Path, count: int) -> list[tuple[str, str]]:
    accounts = []
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 2 and not line.startswith("#"):
            accounts.append((words[0], words[1]))
    if len(accounts) < count:
        sys.exit(f"{path} has {len(accounts)} accounts; {count} are needed")
    return accounts[:count]


def launch(playwright: Playwright, path: str | None) -> Browser:
    options = {"executable_path": path} if path else {}
    return playwright.chromium.launch(args=LAUNCH_FLAGS, **options)


class Person:
    """Somebody with the web client open. What goes wrong in the page is kept in `complaints`."""

    def __init__(self, browser: Browser, url: str, name: str, password: str, **context: object):
        self.name = name
        self.password = password
        self.url = url.rstrip("/")
        self.context: BrowserContext = browser.new_context(locale="en-GB", **context)  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE_MS)
        self.complaints: list[str] = []
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(f"{name}: {error}"))
        self.page.on("console", self._console)

    def _console(self, message: object) -> None:
        text = getattr(message, "text", "")
        if "Content Security Policy" in text or "Warning:" in text:
            self.complaints.append(f"{self.name}: {text}")

    # ---- doing ---------------------------------------------------------------------------------

    def sign_in(self) -> "Person":
        page = self.page
        page.goto(self.url)
        page.get_by_role("button", name="Sign in").click()
        page.locator("[name=username]").fill(self.name)
        page.locator("[name=password]").fill(self.password)
        page.locator("[name=password]").press("Enter")
        self.is_ready()
        return self

    def sign_up(self) -> "Person":
        page = self.page
        page.goto(self.url)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("link", name="Create an account").click()
        page.locator("[name=username]").fill(self.name)
        page.locator("[name=password]").fill(self.password)
        page.locator("[name=password]").press("Enter")
        self.is_ready()
        return self

    def is_ready(self) -> None:
        expect(self.page.locator("#composer")).to_be_visible()
        expect(self.page.locator("[data-connection=online]")).to_be_attached()
        expect(self.page.locator("[data-room-status=loaded]")).to_be_attached()

    def say(self, text: str) -> Locator:
        self.page.locator("#composer").fill(text)
        self.page.locator("#composer").press("Enter")
        return self.message(text)

    def reply(self, to: str, text: str) -> None:
        original = self.message(to)
        original.hover()
        original.get_by_role("button", name=re.compile("Reply")).click()
        self.say(text)

    def open_room(self, name: str) -> None:
        self.page.locator(".room-link", has_text=name).click()
        expect(self.page.locator(".room-title h1")).to_have_text(name)
        expect(self.page.locator("[data-room-status=loaded]")).to_be_attached()

    def create_room(self, name: str, topic: str = "", private: bool = False) -> None:
        page = self.page
        page.get_by_role("button", name="New room").first.click()
        page.locator("[name=room-name]").fill(name)
        page.locator("[name=room-topic]").fill(topic)
        if private:
            page.get_by_role("radio", name="Private").check()
        page.get_by_role("button", name="Create room").click()
        expect(page.locator(".room-title h1")).to_have_text(name)

    def join_room(self, name: str) -> None:
        self.page.get_by_role("button", name="Find a room").first.click()
        self.page.get_by_role("button", name=f"Join {name}").click()
        expect(self.page.locator(".room-title h1")).to_have_text(name)

    # ---- seeing --------------------------------------------------------------------------------

    def message(self, text: str) -> Locator:
        shown = text.replace("`", "")  # drawn as code, without the marks
        exact = re.compile(f"^{re.escape(shown)}$")
        return self.page.locator(".message").filter(
            has=self.page.locator(".message-text", has_text=exact)
        )

    def person(self, name: str) -> Locator:
        return self.page.locator(f".people [data-person='{name}']")

    def unread(self) -> int:
        """The number in the window's title: unread messages of all rooms."""
        found = re.match(r"\((\d+)\)", self.page.title())
        return int(found[1]) if found else 0

    def texts(self) -> list[str]:
        return self.page.locator(".message-text").all_inner_texts()
