#!/bin/sh
# SPDX-License-Identifier: MIT
# Lays the front end's libraries out in node_modules where no npm registry can be reached:
# from Debian packages (apt) and two PyPI wheels. Nothing is installed on the system and root
# is not needed: packages are downloaded to a cache folder and unpacked from there.
#
#   scripts/offline-deps.sh            fill node_modules (a second run does nothing)
#   scripts/offline-deps.sh --force    fill it again
#
# Needs: apt-get and dpkg-deb (Debian or a derivative), Python 3.9 or newer with pip.
set -eu
cd "$(dirname "$0")/.."
for tool in apt-get dpkg-deb python3; do
    command -v "$tool" >/dev/null 2>&1 || {
        echo "offline-deps: $tool is missing; this way needs Debian's apt and Python 3 with pip." >&2
        echo "offline-deps: on any machine with npm, 'npm install' does the same." >&2
        exit 69
    }
done
exec python3 scripts/offline-deps.py "$@"
