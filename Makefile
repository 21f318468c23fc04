# SPDX-License-Identifier: MIT
#
# One spelling for people and for CI. Every target is a thin line over scripts/.
#
#   make setup          install what is missing (system packages, Python clients); says what it does
#   make run            set up, build for release, start the suite; ends in "ready http://…"
#   make test           set up, then all Swift tests and the web client's unit tests
#   make check          format, imports, tidiness, OpenAPI document
#   make bench          load figures of this machine, printed as a table
#   make fuzz           each parser's fuzz target for FUZZ_SECONDS (default 60)
#   make sanitize       all Swift tests under ThreadSanitizer, then under AddressSanitizer and LeakSanitizer
#   make hostile        hostile peers and waves of connects, while others are measured
#   make conformance    real JavaScript, Python and browser clients against the running suite
#   make chaos          break a cluster under 200 clients; CHAOS_SECONDS (300), CHAOS_FAULTS (200), CHAOS_SEED
#   make chaos-planted  every bug planted on purpose must be found by the checker
#   make ci             test, check, release build and its allocations, 30 s of chaos, conformance: what CI runs
#   make build          debug build of everything
#   make release        release build of everything
#   make web            build the web client into services/frontend/dist
#   make screenshot     start the suite, drive a browser, write docs/images/chat.png
#   make secrets        service secrets in ./data/secrets; ARGS="--split DIRECTORY": in a folder for each container
#   make compose-check  docker compose up under a real engine, two people chat through the edge
#   make clean          remove what was built, and the inputs that fuzzing has kept (never ./data)
#   make help           this list
#
# ARGS is handed on: make run ARGS="--chat-port 4001"

.PHONY: setup run test check bench fuzz sanitize hostile conformance chaos chaos-planted ci build release web screenshot secrets \
	compose-check clean help
.DEFAULT_GOAL := help

setup:
	@scripts/setup.sh build test web python browser

run:
	@scripts/run.sh $(ARGS)

test:
	@scripts/test.sh $(ARGS)

check:
	@scripts/check.sh

bench:
	@scripts/bench.sh $(ARGS)

fuzz:
	@scripts/fuzz.sh $(ARGS)

sanitize:
	@scripts/sanitize.sh $(ARGS)

hostile:
	@scripts/hostile.sh $(ARGS)

conformance:
	@scripts/conformance.sh $(ARGS)

chaos:
	@scripts/chaos.sh run $(ARGS)

chaos-planted:
	@scripts/chaos.sh --planted

ci:
	@scripts/ci.sh

build:
	@scripts/setup.sh build
	swift build

release:
	@scripts/setup.sh build
	swift build -c release

web:
	@scripts/setup.sh web
	services/frontend/build.sh

screenshot:
	@scripts/screenshot.sh

secrets:
	@scripts/secrets.sh $(ARGS)

compose-check:
	@scripts/compose-check.sh $(ARGS)

clean:
	rm -rf .build .build-fuzz .build-thread .build-address services/frontend/dist services/frontend/node_modules .venv

help:
	@sed -n '3,/^$$/s/^#\{1\} \{0,1\}//p' Makefile
