#!/bin/sh
# SPDX-License-Identifier: MIT
# Creates the two service secrets where they are missing, and never changes one that exists.
# Plain sh and coreutils: it also runs in the compose file's init container.
#
#   DIRECTORY/chat-service, DIRECTORY/notification-service      as AUTH_SERVICE_SECRETS_DIR and `chatctl up` have them
#   with --split: DIRECTORY/auth with both, DIRECTORY/chat-service and DIRECTORY/notification-service with one
#   each under the same name, so that each container is given a folder of its own and sees no other's secret
#
# usage: secrets.sh [--split] [DIRECTORY [OWNER]]     default ./data/secrets; OWNER like 10001:10001 (as root)
set -eu
split=
if [ "${1:-}" = --split ]; then
    split=yes
    shift
fi
case ${1:-} in
-*)
    echo "secrets.sh: unknown flag $1 (--split)" >&2
    exit 64
    ;;
esac
directory=${1:-./data/secrets}
owner=${2:-}
umask 077

# usage: create FILE      32 random bytes as base64url, unless it is there
create() {
    [ ! -s "$1" ] || return 0
    head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '=' >"$1.new"
    mv "$1.new" "$1"
    echo "created $1"
}

# usage: refuse TEXT
refuse() {
    echo "secrets.sh: $1" >&2
    exit 1
}

set -- chat-service notification-service
for name; do
    if [ -z "$split" ]; then
        [ ! -d "$directory/$name" ] || refuse "$directory/$name is a folder: what is there was made with --split"
        mkdir -p "$directory"
        create "$directory/$name"
    else
        [ ! -f "$directory/$name" ] || refuse "$directory/$name is a file: what is there was made without --split"
        mkdir -p "$directory/auth" "$directory/$name"
        create "$directory/auth/$name"
        if ! cmp -s "$directory/auth/$name" "$directory/$name/$name"; then
            cp "$directory/auth/$name" "$directory/$name/$name"
            echo "copied it to $directory/$name/$name"
        fi
    fi
done
[ -z "$owner" ] || for name in "$@" ${split:+auth}; do chown -R "$owner" "$directory/$name"; done
[ -z "$owner" ] || [ -n "$split" ] || chown "$owner" "$directory"
