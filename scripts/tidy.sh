#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Small house rules, so that review is about ideas. Each rule prints its offenders; any makes it fail.
source "$(dirname "$0")/lib.sh"
failed=0

# usage: forbid RULE PATTERN PATHSPEC…      an extended regular expression over tracked files
forbid() {
    local rule=$1 pattern=$2
    shift 2
    local hits
    if hits=$(git grep -nIE "$pattern" -- "$@"); then
        printf 'tidy: %s\n%s\n' "$rule" "$hits" >&2
        failed=1
    fi
}

this=':!scripts/tidy.sh'
forbid "unfinished work has no place on main" \
    '\b(TODO|FIXME|XXX|HACK)\b' . "$this"
forbid "a path of one person's machine" \
    '(^|[^A-Za-z0-9_.~-])/(home|Users|root|work)/[A-Za-z0-9]' . "$this"
forbid "Foundation stays out of Sources: Glibc and our own layers do" \
    '^ *(@[a-z]+ +)*((public|package|internal|private|fileprivate) +)?import +Foundation' Sources
forbid "cross-target API is package" \
    '^ *(public|open) +(func|struct|class|enum|let|var|init|actor|protocol|typealias|extension)' Sources
forbid "a lock ThreadSanitizer cannot follow: use Locks.Locked" '\bMutex[<(]' Sources Tests ':!Sources/Locks'
forbid "a merge left its marks" '^(<<<<<<<|>>>>>>>) ' . "$this"
forbid "a switched-off test" '\.disabled\(|XCTSkip|#expect\(true\)' Tests

# Every source file opens with the licence, after a tools-version or interpreter line if it has one.
while IFS= read -r -d '' file; do
    head -n 2 "$file" | grep -q 'SPDX-License-Identifier: MIT' && continue
    printf 'tidy: no SPDX line at the head of %s\n' "$file" >&2
    failed=1
done < <(git ls-files -z -- '*.swift' '*.h' '*.c' '*.sh' '*.py' '*.mjs' '*.ts' '*.tsx' .ci/run)

# Each C library is imported by exactly one target, so that a leak of its types does not compile;
# OpenSSL by two, since its halves have different readers.
for library in CSQLite CHiredis COpenSSL CZlib CArgon2 CCurl; do
    owners=$(git grep -lE "^ *(@[a-z]+ +)*(internal +|private +|package +)?import +$library\b" -- Sources |
        cut -d/ -f2 | sort -u) || owners=
    [ "$library" = COpenSSL ] && [ "$owners" = $'Crypto\nTLS' ] && continue
    if [ "$(printf '%s' "$owners" | grep -c .)" -gt 1 ]; then
        printf 'tidy: %s is imported by several targets: %s\n' "$library" "$(tr '\n' ' ' <<<"$owners")" >&2
        failed=1
    fi
done

# A promise to the compiler names the invariant it rests on.
while IFS=: read -r file line _; do
    sed -n "$((line > 12 ? line - 12 : 1)),$((line + 3))p" "$file" | grep -q 'SAFETY:' && continue
    printf 'tidy: no SAFETY: comment at %s:%s\n' "$file" "$line" >&2
    failed=1
done < <(git grep -nE '@unchecked Sendable|nonisolated\(unsafe\)' -- Sources | grep -v '://')

# The three service images share one build stage; only identical text shares its cache.
stage() { sed -n '/^FROM swift:/,/^FROM debian:/p' "$1" | sed '$d'; }
if [ "$(for s in chat auth notification; do stage services/$s/Dockerfile | sha256sum; done | sort -u | wc -l)" -ne 1 ]; then
    printf 'tidy: the build stages of services/*/Dockerfile differ\n' >&2
    failed=1
fi

# What can be set is in the pages and samples that operators read.
scripts/settings-check.sh || failed=1

# Bugs planted for the checker to find are in the builds made for that and nowhere else.
for binary in .build/release/{ChatService,AuthService,NotificationService,chatctl} .build/debug/ChatService; do
    [ -f "$binary" ] || continue
    if grep -aqE 'PLANTED_BUG|announce-before-commit|dedupe-dropped' "$binary"; then
        printf 'tidy: %s was built with planted bugs\n' "$binary" >&2
        failed=1
    fi
done

[ "$failed" -eq 0 ] || die "tidy: see above"
say "tidy: all rules hold"
