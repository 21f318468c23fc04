# SPDX-License-Identifier: MIT
"""The Autobahn cases, as kosoku drives them, against the `echo` profile. Every case must pass or be one
of those that only inform. Ends with the line `N passed, N failed`."""

import json
import os
import subprocess
import sys
import tempfile

from conformance import Server

# The larger messages of each set; case n.m.k has 1,000 messages of up to 128 KiB at the end.
LONG = [f"{chapter}.{group}.{case}" for chapter, groups in ((12, 5), (13, 7))
        for group in range(1, groups + 1) for case in range(9, 19)]


def main():
    skipped = [] if os.environ.get("AUTOBAHN") == "all" else LONG
    with Server("echo") as server, tempfile.TemporaryDirectory() as reports:
        command = ["kosoku", "-p", "2", "-o", reports]
        for case in skipped:
            command += ["-x", case]
        subprocess.run([*command, f"ws://127.0.0.1:{server.port}"], check=False)
        with open(os.path.join(reports, "index.json"), encoding="utf-8") as file:
            cases = next(iter(json.load(file).values()))
    good = ("OK", "INFORMATIONAL")
    bad = {name: case for name, case in cases.items()
           if case["behavior"] not in good or case["behaviorClose"] not in good}
    for name, case in bad.items():
        print(f"FAIL  {name}: {case['behavior']}, closing {case['behaviorClose']}")
    print(f"autobahn: {len(cases) - len(bad)} passed, {len(bad)} failed ({len(skipped)} long ones left out)")
    sys.exit(1 if bad or len(cases) < 300 else 0)


if __name__ == "__main__":
    main()
