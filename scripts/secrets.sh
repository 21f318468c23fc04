#!/bin/sh
# SPDX-License-Identifier: MIT
# Creates the two service secrets where they are missing, and never changes one that exists.
# AuthService needs both; each other service only its own, so each gets a directory of its own.
# Plain sh and coreutils: it also runs in the compose file's init container.
# usage: secrets.sh [DIRECTORY [OWNER]]     default ./data/secrets; OWNER like 10001:10001 (as root)
set -eu
directory=${1:-./data/secrets}
owner=${2:-}
umask 077

# usage: secret NAME      32 random bytes as base64url in auth/NAME and NAME/NAME
secret() {
    mkdir -p "$directory/auth" "$directory/$1"
    if [ ! -s "$directory/auth/$1" ]; then
        head -c 32 /dev/urandom | base64 -w 0 | tr '+/' '-_' | tr -d '=' >"$directory/auth/$1.new"
        mv "$directory/auth/$1.new" "$directory/auth/$1"
        echo "created $directory/auth/$1"
    fi
    if ! cmp -s "$directory/auth/$1" "$directory/$1/$1"; then
        cp "$directory/auth/$1" "$directory/$1/$1"
        echo "copied it to $directory/$1/$1"
    fi
}

secret chat-service
secret notification-service
[ -z "$owner" ] || chown -R "$owner" "$directory/auth" "$directory/chat-service" "$directory/notification-service"
