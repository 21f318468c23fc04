#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Brings the compose file up under a real Docker Engine of its own, without any image registry, lets
# two people chat through the edge, and leaves nothing behind. Debian, as root; not part of CI.
#
# The base images are look-alikes under the names the Dockerfiles use, made from Debian packages
# (mmdebstrap) and the Swift toolchain on PATH; the project's Dockerfiles and compose file are used as
# they stand. `redis:7-alpine` is Debian's Redis 7 and `node:22-bookworm-slim` an empty Debian, because
# the web client is taken prebuilt (WEB=prebuilt). Where images can be pulled, `docker compose up
# --build` is the check, and Tests/Conformance/compose_chat.py the two people.
#
# COMPOSE_CHECK_DIR keeps the engine's images and layers between runs (about 6 GB).
source "$(dirname "$0")/lib.sh"
exec </dev/null

[ "$(id -u)" -eq 0 ] || die "a private Docker Engine needs root"
for command in dockerd docker mmdebstrap git; do
    command -v "$command" >/dev/null ||
        die "$command is missing: apt-get install --no-install-recommends docker.io mmdebstrap git"
done
scripts/setup.sh build test web python
[ -f services/frontend/dist/index.html ] || services/frontend/build.sh

keep=${COMPOSE_CHECK_DIR:-}
work=${keep:-$(mktemp -d /var/tmp/chat-compose.XXXXXX)}
mkdir -p "$work"
run=$(mktemp -d)
chmod 755 "$run"
export DOCKER_HOST=unix://$run/docker.sock DOCKER_CONFIG=$work/config COMPOSE_PROJECT_NAME=chatcheck
unset DOCKER_CONTEXT
mkdir -p "$DOCKER_CONFIG/cli-plugins"
edge_port=$(free_ports 1)
export PUBLIC_URL=http://localhost:$edge_port BIND=127.0.0.1:$edge_port WEB=prebuilt
bridges_before=$(ls /sys/class/net)
engine=

compose() { docker compose -f "$ROOT/docker-compose.yml" -f "$run/override.yml" --project-directory "$ROOT" "$@"; }

finish() {
    local status=$? link
    if [ -n "$engine" ]; then
        if [ "$status" -ne 0 ] && [ -f "$run/override.yml" ]; then
            compose ps -a || true
            compose logs --tail 40 || true
        fi
        [ ! -f "$run/override.yml" ] || compose down -v -t 10 >/dev/null 2>&1 || true
        kill "$engine" 2>/dev/null || true
        wait "$engine" 2>/dev/null || true
    fi
    for link in $(ls /sys/class/net); do
        [[ " $(tr '\n' ' ' <<<"$bridges_before")" == *" $link "* ]] && continue
        case $link in docker0 | br-* | veth*) ip link del "$link" 2>/dev/null || true ;; esac
    done
    umount "$run"/exec/netns/* 2>/dev/null || true
    rm -rf "$run"
    [ -n "$keep" ] || rm -rf "$work"
}
trap finish EXIT

# The Compose v2 plugin: Debian has it from trixie on, so on bookworm that one package is unpacked
# beside the engine's files, not installed.
if ! docker compose version >/dev/null 2>&1; then
    say "fetching the Compose v2 plugin"
    mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {print $2; exit}' \
        /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2>/dev/null)
    apt=$run/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/x"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s trixie main\n' \
        "$mirror" >"$apt/sources.list"
    cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "/nonexistent";
Dir::State::lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Languages "none";
CONF
    chown -R _apt "$apt"
    (cd "$apt" && APT_CONFIG=$apt/apt.conf apt-get update -qq &&
        APT_CONFIG=$apt/apt.conf apt-get download -qq docker-compose docker-buildx)
    for package in "$apt"/*.deb; do dpkg-deb -x "$package" "$apt/x"; done
    find "$apt/x" -path '*cli-plugins/*' -type f -exec cp {} "$DOCKER_CONFIG/cli-plugins/" \;
    docker compose version >/dev/null || die "the Compose v2 plugin does not start"
fi

# iptables and forwarding stay as the machine has them: published ports go through the userland
# proxy, and what must fetch packages builds on the host's network.
say "starting a private Docker Engine"
dockerd --data-root "$work/engine" --exec-root "$run/exec" --pidfile "$run/pid" -H "$DOCKER_HOST" \
    --iptables=false --ip6tables=false --ip-forward=false >"$run/engine.log" 2>&1 &
engine=$!
for _ in $(seq 100); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || { tail -n 20 "$run/engine.log" >&2; die "dockerd stopped"; }
    sleep 0.2
done
docker version --format 'engine {{.Server.Version}}, client {{.Client.Version}}, compose '"$(docker compose version --short)"

have() { docker image inspect "$1" >/dev/null 2>&1; }

# usage: derive IMAGE COMMIT_CHANGE SHELL_TEXT      an image from the base, with packages installed
derive() {
    docker rm -f derive >/dev/null 2>&1 || true
    docker run --name derive --network host debian:bookworm-slim sh -ec "$3" >"$run/derive.log" 2>&1 ||
        { tail -n 20 "$run/derive.log" >&2; die "could not make $1"; }
    docker commit -c "$2" derive "$1" >/dev/null
    docker rm derive >/dev/null
}
quiet_apt='export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends'

if ! have debian:bookworm-slim; then
    say "making a look-alike of debian:bookworm-slim"
    mmdebstrap -q --variant=minbase --include=ca-certificates --aptopt='Acquire::Languages "none"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$run/base.tar"
    docker import "$run/base.tar" debian:bookworm-slim >/dev/null
    rm "$run/base.tar"
fi
docker tag debian:bookworm-slim node:22-bookworm-slim
if ! have redis:7-alpine; then
    say "making a look-alike of redis:7-alpine"
    derive redis:7-alpine 'CMD ["redis-server"]' "$quiet_apt redis-server; rm -rf /var/lib/apt/lists/*"
fi
if ! have swift:6.3-bookworm; then
    say "making a look-alike of swift:6.3-bookworm"
    toolchain=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")
    [ "$(basename "$toolchain")" = usr ] || die "the Swift toolchain is not laid out as usr/bin/swift"
    derive swift-base:local 'CMD ["bash"]' "$quiet_apt binutils git libc6-dev libgcc-12-dev libstdc++-12-dev \
        libcurl4 libedit2 libncurses6 libpython3.11 libxml2 zlib1g-dev pkg-config unzip; rm -rf /var/lib/apt/lists/*"
    docker create --name derive swift-base:local >/dev/null
    # Debuggers, editors' servers and documentation tools are not part of a build.
    tar -C "$(dirname "$toolchain")" --exclude='*lldb*' --exclude='*sourcekit*' --exclude='*clangd*' \
        --exclude='*docc*' --exclude='libclang.so*' --exclude='usr/lib/swift/embedded' \
        --exclude='usr/share/man' --exclude='usr/share/doc' -c usr | docker cp - derive:/
    # Where git is told to take packages from a folder, the image is told the same.
    mirror=$(git config --get-regexp '^url\..*\.insteadof$' |
        awk '$2 == "https://github.com/" {sub(/^url\./, "", $1); sub(/\.insteadof$/, "", $1); print $1; exit}') || mirror=
    if [ -d "$mirror" ]; then
        mkdir -p "$run/image/etc" "$run/image/packages"
        printf '[url "/packages/"]\n\tinsteadOf = https://github.com/\n[safe]\n\tdirectory = *\n' \
            >"$run/image/etc/gitconfig"
        sed -n 's|.*url: "https://github.com/\([^"]*\)".*|\1|p' Package.swift | while read -r package; do
            mkdir -p "$run/image/packages/$(dirname "$package")"
            cp -a "$mirror$package.git" "$run/image/packages/$package.git"
            ln -s "$(basename "$package").git" "$run/image/packages/$package"
        done
        tar -C "$run/image" --owner=0 --group=0 -c etc packages | docker cp - derive:/
    fi
    docker commit derive swift:6.3-bookworm >/dev/null
    docker rm derive >/dev/null
fi

# What this engine cannot do by itself: reach a package mirror from a bridge, and raise a limit.
limit=$(ulimit -Hn)
[ "$limit" != unlimited ] && [ "$limit" -lt 65536 ] || limit=65536
cat >"$run/override.yml" <<YAML
services:
  auth: {build: {network: host}}
  chat: {build: {network: host}, ulimits: {nofile: {soft: $limit, hard: $limit}}}
  notification: {build: {network: host}}
  edge: {build: {network: host}}
YAML

say "docker compose up --build"
compose config --quiet
begun=$SECONDS
# One after the other: the first builds the services, the others find its layers.
compose build --progress plain auth >"$run/build.log" 2>&1 && compose build --progress plain >>"$run/build.log" 2>&1 ||
    { tail -n 60 "$run/build.log" >&2; die "an image does not build"; }
say "images built in $((SECONDS - begun)) s"
begun=$SECONDS
compose up -d --build >"$run/up.log" 2>&1 || { tail -n 40 "$run/up.log" >&2; die "compose up failed"; }
for service in redis auth chat notification edge; do
    for _ in $(seq 240); do
        health=$(docker inspect -f '{{.State.Health.Status}}' "$(compose ps -aq "$service")")
        [ "$health" != healthy ] || break
        sleep 0.5
    done
    [ "$health" = healthy ] || die "$service is $health"
done
say "all healthy after $((SECONDS - begun)) s"
docker images --format '{{.Repository}} {{.Size}}' 'chat/*' | sort

say "hardening as written in the compose file"
for service in redis auth chat notification edge; do
    docker inspect -f "$service"' uid={{.Config.User}} read_only={{.HostConfig.ReadonlyRootfs}} cap_drop={{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' \
        "$(compose ps -q "$service")"
done

say "two people chat through the edge at $PUBLIC_URL"
EDGE_URL=$PUBLIC_URL .venv/bin/python Tests/Conformance/compose_chat.py

say "everything restarts with its data"
compose restart -t 15 auth chat notification >/dev/null 2>&1
for service in auth chat notification edge; do
    for _ in $(seq 120); do
        [ "$(docker inspect -f '{{.State.Health.Status}}' "$(compose ps -q "$service")")" != healthy ] || break
        sleep 0.5
    done
done
EDGE_URL=$PUBLIC_URL .venv/bin/python Tests/Conformance/compose_chat.py --again

closing "compose-check: passed in $SECONDS s"
