#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the tables of docs/requirements.md: each rule of a specification with the test that holds it down.

A rule is the display name of a Swift test, `@Test("RFC 9112 §3.2: …")`, or a comment above a test in Python,
`# RFC 6455 §5.5.2: …`. The page is made of the tests, so it cannot name one that does not exist; `make check`
compares the two, so it cannot miss one either. Tests named in what people wrote on it are looked up as well.
usage: scripts/requirements-page.py [--check]
"""
import pathlib
import re
import sys

PAGE = pathlib.Path("docs/requirements.md")
BEGIN, END = "<!-- rules: scripts/requirements-page.py writes from here -->", "<!-- to here -->"
RULE = r"(?:RFC \d+|Engine\.IO 4|Socket\.IO 5|Autobahn)[ ,][^\n\"]*"
TEST = re.compile(r'@Test\(\s*"(' + RULE + ')"')
SUITE = re.compile(r"^(?:@Suite(?:\([^)]*\))? )?(?:private )?(?:struct|extension) (\w+)", re.M)
FUNCTION = re.compile(r"func (\w+)")
SCRIPT = re.compile(r"((?:^# " + RULE + r"\n)+)(?:@\w+\n)?(?:async )?def (\w+)", re.M)
NAMED = re.compile(r"`(\w+Tests/\w+|\w+\.py/\w+)`")

TITLES = {
    "RFC 9112": "RFC 9112: HTTP/1.1", "RFC 9110": "RFC 9110: HTTP semantics", "RFC 6455": "RFC 6455: WebSocket",
    "RFC 7692": "RFC 7692: permessage-deflate", "Engine.IO 4": "Engine.IO protocol 4",
    "Socket.IO 5": "Socket.IO protocol 5", "Autobahn": "Autobahn test suite, cases by number",
}


def tests():
    """Every test there is, `Suite/name` or `file.py/name`, and the rules it holds down."""
    for path in sorted(pathlib.Path("Tests").glob("*Tests/*.swift")):
        text = path.read_text()
        ruled = {match.start(): match for match in TEST.finditer(text)}
        for start in (match.start() for match in re.finditer(r"@Test\b", text)):
            suites = SUITE.findall(text[:start])
            name = FUNCTION.search(text, ruled[start].end() if start in ruled else start)
            rules = [ruled[start].group(1)] if start in ruled else []
            yield f"{suites[-1] if suites else path.stem}/{name.group(1)}", rules
    for path in sorted(pathlib.Path("Tests/Conformance").glob("*.py")):
        text = path.read_text()
        ruled = {match.group(2): match.group(1) for match in SCRIPT.finditer(text)}
        for name in re.findall(r"^(?:async )?def (\w+)", text, re.M):
            yield f"{path.name}/{name}", [line[2:] for line in ruled.get(name, "").splitlines()]


def order(rule):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", rule[0])], rule[1]


def tables(found):
    rules = []
    for test, texts in found:
        for text in texts:
            where, _, rule = text.partition(": ")
            if not rule:
                sys.exit(f"{test}: a rule needs a section, a colon and a sentence: {text}")
            rules.append((where, rule, test))
    lines = []
    for key, title in TITLES.items():
        lines += [f"### {title}", "", "| section | rule | test |", "|---|---|---|"]
        for where, rule, test in sorted((rule for rule in rules if rule[0].startswith(key)), key=order):
            section = where.removeprefix(key).lstrip(", ") or "all"
            cell = rule.replace("|", "\\|")
            lines.append(f"| {section} | {cell} | `{test}` |")
        lines.append("")
    return len(rules), "\n".join([BEGIN, "", *lines, END])


def main():
    text = PAGE.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{PAGE}: its two marks are missing")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    found = list(tests())
    missing = set(NAMED.findall(head + tail)) - {test for test, _ in found}
    if missing:
        sys.exit(f"{PAGE} names tests that do not exist: {', '.join(sorted(missing))}")
    count, made = tables(found)
    made = head + made + tail
    if "--check" in sys.argv[1:]:
        if made != text:
            sys.exit(f"{PAGE} does not name the tests there are: run scripts/requirements-page.py")
        print(f"{PAGE}: {count} rules, each with its test")
    else:
        PAGE.write_text(made)


main()
