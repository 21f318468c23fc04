#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What a machine can judge: format, imports, tidiness, scripts that parse, a valid swagger.yaml.
source "$(dirname "$0")/lib.sh"
scripts/setup.sh build web python

say "swift format"
swift format lint --strict --recursive --parallel Package.swift Sources Tests

say "imports name what they use"
swift build --build-tests --explicit-target-dependency-import-check error

say "tidiness"
scripts/tidy.sh

say "scripts parse"
git ls-files -z -- '*.sh' .ci/run | xargs -0 -n 1 bash -n
git ls-files -z -- '*.py' | xargs -0 -r python3 -c '
import ast, sys
for name in sys.argv[1:]:
    ast.parse(open(name, encoding="utf-8").read(), name)'
git ls-files -z -- '*.mjs' | xargs -0 -r -n 1 node --check

say "rules and their tests"
python3 scripts/requirements-page.py --check

say "swagger.yaml"
.venv/bin/python -m openapi_spec_validator swagger.yaml

closing "check: all passed"
