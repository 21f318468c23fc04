#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the tables of docs/conformance.md: each rule of a specification with the test that holds it down.

A rule is the display name of a test: `@Test("RFC 9112 §3.2: …")`. The page is made of the tests, so it cannot
name one that does not exist; `make check` compares the two, so it cannot miss one either.
usage: scripts/conformance-page.py [--check]
"""
import pathlib
import re
import sys

PAGE = pathlib.Path("docs/conformance.md")
BEGIN, END = "<!-- rules: scripts/conformance-page.py writes from here -->", "<!-- to here -->"
TEST = re.compile(r'@Test\(\s*"((?:RFC|Engine\.IO|Socket\.IO|Autobahn)[^"]*)"')
SUITE = re.compile(r"^(?:@Suite )?struct (\w+)|^@Suite(?:\([^)]*\))? struct (\w+)")
FUNCTION = re.compile(r"func (\w+)")


def rules():
    found = []
    for path in sorted(pathlib.Path("Tests").glob("*Tests/*.swift")):
        text = path.read_text()
        for match in TEST.finditer(text):
            suites = [m for line in text[: match.start()].splitlines() if (m := SUITE.match(line))]
            suite = suites[-1].group(1) or suites[-1].group(2)
            name = FUNCTION.search(text, match.end()).group(1)
            where, _, rule = match.group(1).partition(": ")
            if not rule:
                sys.exit(f"{path}: a rule needs a section, a colon and a sentence: {match.group(1)}")
            found.append((where, rule, f"{suite}/{name}"))
    return found


def specification(where):
    return re.match(r"RFC \d+|Autobahn|[^\d]+\d", where).group(0)


def order(rule):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", rule[0])], rule[1]


def tables():
    titles = {
        "RFC 9112": "RFC 9112: HTTP/1.1", "RFC 9110": "RFC 9110: HTTP semantics", "RFC 6455": "RFC 6455: WebSocket",
        "RFC 7692": "RFC 7692: permessage-deflate", "Engine.IO 4": "Engine.IO protocol 4",
        "Socket.IO 5": "Socket.IO protocol 5", "Autobahn": "Autobahn test suite, cases by number",
    }
    found = rules()
    for where, _, test in found:
        if specification(where) not in titles:
            sys.exit(f"{test}: no table for {where}")
    lines = []
    for key, title in titles.items():
        of_it = sorted((rule for rule in found if specification(rule[0]) == key), key=order)
        lines += [f"### {title}", "", "| section | rule | test |", "|---|---|---|"]
        for where, rule, test in of_it:
            section = where.removeprefix(key).lstrip(", ") or "all"
            cell = rule.replace("|", "\\|")
            lines.append(f"| {section} | {cell} | `{test}` |")
        lines.append("")
    return "\n".join([BEGIN, "", *lines, END])


def main():
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{PAGE}: its two marks are missing")
    head, rest = text.split(BEGIN)
    made = head + tables() + rest.split(END)[1]
    if "--check" in sys.argv[1:]:
        if made != text:
            sys.exit(f"{PAGE} does not name the tests there are: run scripts/conformance-page.py")
        print(f"{PAGE}: {len(rules())} rules, each with its test")
    else:
        PAGE.write_text(made)


main()
