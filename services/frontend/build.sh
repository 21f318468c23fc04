#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds the web client into dist/. Takes the libraries from npm where a registry answers, and from
# Debian and PyPI packages (scripts/offline-deps.sh) where none does.
#
#   ./build.sh             typecheck and build
#   ./build.sh --test      and run the unit tests
#   FRONTEND_DEPS=npm|offline ./build.sh    choose the way instead of trying
set -eu
cd "$(dirname "$0")"

npm_answers() {
    command -v npm >/dev/null 2>&1 || return 1
    # One try and a few seconds: npm's own patience would be minutes.
    timeout 8 npm view react@18.3.1 version --fetch-retries=0 --fetch-timeout=5000 >/dev/null 2>&1
}

deps=${FRONTEND_DEPS:-}
if [ -z "$deps" ]; then
    if [ -f node_modules/.offline ]; then
        deps=offline
    elif [ -d node_modules/react-dom ] && [ -x node_modules/.bin/esbuild ]; then
        deps=present
    elif npm_answers; then
        deps=npm
    else
        deps=offline
    fi
fi

case $deps in
present) ;;
npm) npm install --no-audit --no-fund ;;
offline) scripts/offline-deps.sh ;;
*)
    echo "build.sh: FRONTEND_DEPS is '$deps'; it can be npm or offline" >&2
    exit 64
    ;;
esac

PATH="$PWD/node_modules/.bin:$PATH"
export PATH
tsc -p tsconfig.json
node scripts/build.mjs
if [ "${1:-}" = --test ]; then
    node scripts/test.mjs
fi
