#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lets people chat in real browsers and takes pictures of it, for the documentation.

usage: screenshot.py --url http://127.0.0.1:3001 --accounts FILE [--out docs/images/chat.png]

Writes the given file (a wide, light window) and beside it NAME-dark.png and NAME-phone.png.
Two accounts are enough: two more people sign up. Meant for a server with nothing in it yet.
"""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from people import MESSAGE_ID, Person, arguments, launch, read_accounts

NEWCOMERS = ["linus", "margaret"]
WIDE = {"width": 1360, "height": 850}
PHONE = {"width": 390, "height": 780}

# Who speaks, what they say, and which of the lines before they answer.
LAUNCH: list[tuple[int, str, str | None]] = [
    (1, "The staging run is done: nothing lost, nothing out of order.", None),
    (0, "Wow. And with Redis stopped in the middle?", None),
    (1, "Stopped it twice. Readers pulled what they missed from the log, that is all.", None),
    (2, "Then I have no excuse left for the release notes 😄", None),
    (2, "Draft is in `docs/`, please read it once: https://example.org/notes", None),
    (3, "Reading. One question: do we say something about long polling?", None),
    (0, "Yes, one line: it works without sticky sessions.", "Reading. One question: do we say something about long polling?"),
    (3, "👍", None),
    (0, "Demo at three, then. I bring the cake.", None),
    (1, "Best line of the day.", "Demo at three, then. I bring the cake."),
]
DESIGN = [(2, "New icons are in, have a look when you can."), (3, "The dark ones too?"), (2, "Both.")]
LOBBY = [(3, "Good morning everybody!"), (1, "Morning! Coffee is ready.")]


def converse(people: list[Person]) -> None:
    def speaker(index: int) -> Person:
        return people[index % len(people)]

    host = people[0]
    host.create_room("Launch", topic="Friday, three o’clock")
    for person in people[1:]:
        person.join_room("Launch")
    for index, text, original in LAUNCH:
        person = speaker(index)
        if original:
            person.reply(original, text)
        else:
            person.say(text)
        for other in people:
            expect(other.message(text)).to_be_visible()

    owner = speaker(2)
    owner.create_room("Design", topic="Type, colour and the rest")
    for person in people:
        if person is not owner:
            person.join_room("Design")
    for person in people:
        person.open_room("Launch")

    # News in rooms that the host does not look at.
    for room, lines in (("Design", DESIGN), ("Lobby", LOBBY)):
        for index, text in lines:
            person = speaker(index)
            if person is host:
                continue
            person.open_room(room)
            person.say(text)
            expect(person.message(text)).to_have_attribute("data-message", MESSAGE_ID)
    for person in people[1:]:
        person.open_room("Launch")


def picture(person: Person, typist: Person, path: Path) -> None:
    typist.page.locator("#composer").fill("")
    typist.page.locator("#composer").press_sequentially("so, about that cake", delay=80)
    expect(person.page.locator(".typing-line")).to_contain_text("typing")
    person.page.mouse.move(0, 0)
    person.page.wait_for_timeout(300)
    person.page.screenshot(path=path)
    print(f"wrote {path}")


def main() -> int:
    chosen = arguments(
        __doc__ or "", **{"--out": {"type": Path, "default": Path("docs/images/chat.png")}}
    )
    out: Path = chosen.out
    out.parent.mkdir(parents=True, exist_ok=True)
    accounts = read_accounts(chosen.accounts, 2)
    with sync_playwright() as playwright:
        browser = launch(playwright, chosen.browser)

        def arrive(name: str, password: str, scheme: str = "light") -> Person:
            return Person(
                browser, chosen.url, name, password,
                viewport=WIDE, device_scale_factor=2, color_scheme=scheme,
            )

        people = [
            arrive(*account, scheme).sign_in() for account, scheme in zip(accounts, ("light", "dark"))
        ]
        people += [arrive(name, secrets.token_urlsafe(18)).sign_up() for name in NEWCOMERS]
        converse(people)
        host, other = people[0], people[1]
        picture(host, other, out)
        picture(other, host, out.with_stem(f"{out.stem}-dark"))
        host.page.set_viewport_size(PHONE)
        picture(host, other, out.with_stem(f"{out.stem}-phone"))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
