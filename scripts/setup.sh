#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing on Debian or Ubuntu, as root or through sudo, and says what it does.
# usage: scripts/setup.sh GROUP…      groups: build test web python browser
source "$(dirname "$0")/lib.sh"

# One line a package: group, package, and the command that shows it is not needed.
# Several packages may stand behind one command (node may come from anywhere), so it is the
# ability that is probed and not the package.
wanted() {
    cat <<'LIST'
build   git                   command -v git
build   pkg-config            command -v pkg-config
build   libsqlite3-dev        pkg-config --exists sqlite3
build   libhiredis-dev        pkg-config --exists hiredis
build   libssl-dev            pkg-config --exists openssl
build   zlib1g-dev            pkg-config --exists zlib
build   libargon2-dev         pkg-config --exists libargon2
build   libcurl4-openssl-dev  pkg-config --exists libcurl
test    redis-server          command -v redis-server
test    faketime              test -f /usr/lib/$(uname -m)-linux-gnu/faketime/libfaketimeMT.so.1
test    iptables              command -v iptables || test -x /usr/sbin/iptables
test    curl                  command -v curl
test    util-linux            command -v flock
test    procps                command -v ps
test    python3               command -v python3
web     nodejs                command -v node
web     npm                   command -v npm
web     python3               command -v python3
web     python3-pip           python3 -m pip --version
python  python3-venv          python3 -c 'import venv, ensurepip'
browser node-ws               test -d /usr/share/nodejs/ws || node -e WebSocket
browser chromium              command -v chromium || command -v google-chrome || test -n "${CHROMIUM:-}"
LIST
}

swift_check() {
    local version
    command -v swift >/dev/null ||
        die "no Swift toolchain on PATH; install Swift 6.2 or newer from https://www.swift.org/install/linux/"
    version=$(swift --version 2>&1 | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] || die "'swift --version' did not tell its version"
    if [ "${version%%.*}" -lt 6 ] || { [ "${version%%.*}" -eq 6 ] && [ "${version#*.}" -lt 2 ]; }; then
        die "Swift $version is too old: 6.2 or newer is needed (https://www.swift.org/install/linux/)"
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "root or sudo is needed for: $*"
    fi
}

install_packages() {
    local group package probe missing=() distribution
    # shellcheck source=/dev/null
    distribution=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}") || distribution=
    while read -r group package probe; do
        [[ " $* " == *" $group "* ]] || continue
        bash -c "$probe" >/dev/null 2>&1 </dev/null && continue
        if [ "$package" = chromium ] && [ "$distribution" = ubuntu ]; then
            say "Ubuntu has Chromium as a snap only: 'snap install chromium', or set CHROMIUM to a Chrome binary"
            continue
        fi
        [[ " ${missing[*]-} " == *" $package "* ]] || missing+=("$package")
    done < <(wanted)
    if [ "${#missing[@]}" -eq 0 ]; then
        say "system packages for $*: nothing missing"
        return
    fi
    command -v apt-get >/dev/null ||
        die "this is not Debian or Ubuntu; please install the equivalents of: ${missing[*]}"
    say "installing system packages: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

python_clients() {
    local wanted have
    wanted=$(sha256sum <Tests/Conformance/requirements.txt)
    have=$(cat .venv/.installed 2>/dev/null) || have=
    [ "$wanted" != "$have" ] || return 0
    say "installing the Python test clients into .venv"
    python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check -r Tests/Conformance/requirements.txt
    printf '%s\n' "$wanted" >.venv/.installed
}

[ $# -gt 0 ] || set -- build
for group in "$@"; do
    case $group in
    build | test | web | python | browser) ;;
    *) die "unknown group '$group' (build test web python browser)" ;;
    esac
done
install_packages "$@"
if [[ " $* " == *" build "* ]]; then swift_check; fi
if [[ " $* " == *" python "* ]]; then python_clients; fi
