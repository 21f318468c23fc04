#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Every setting that a program declares stands in its table in docs/operations.md and in the sample of its
# service; those of ServiceRuntime are every service's. Neither names one that is none. Called by tidy.sh.
source "$(dirname "$0")/lib.sh"
failed=0
declaration='^ *((private|fileprivate|internal|package) )?(static )?(let|var) [A-Za-z]+ = SettingKey'

miss() {
    printf 'tidy: %s\n' "$*" >&2
    failed=1
}

# usage: code TARGET      its sources without comments that fill a line
code() { git ls-files -z -- "Sources/$1/*.swift" | xargs -0 cat | grep -vE '^ *//'; }

# usage: declared TARGET      the names of its settings
declared() {
    code "$1" | tr '\n' ' ' | grep -oE 'SettingKey(<[A-Za-z.]+>)?\.[a-z]+\( *"[A-Z_]+"' | grep -oE '"[A-Z_]+"' |
        tr -d '"' || :
}

# usage: table TITLE      the names in the first cells of that table of docs/operations.md
table() {
    awk -v title="### $1" '$0 == title {on = 1; next} /^##/ {on = 0} on' docs/operations.md |
        sed -n 's/^| \([^|]*\) |.*/\1/p' | grep -oE '`[A-Z_]+`' | tr -d '`'
}

# usage: sample SERVICE      the names in its sample, those behind # too
sample() { sed -nE 's/^#?([A-Z_]+)=.*/\1/p' "services/$1/.env.sample"; }

# usage: compare PLACE NAMES-THERE NAMES-DECLARED      a secret may stand there by its file's name
compare() {
    local name
    for name in $3; do
        grep -qxE "$name(_FILE)?" <<<"$2" || miss "$1 misses the setting $name"
    done
    for name in $2; do
        grep -qxE "$name|${name%_FILE}" <<<"$3" || miss "$1 names $name, which is no setting there"
    done
}

common=$(declared ServiceRuntime)
compare "docs/operations.md (Settings, All services)" "$(table "All services")" "$common"
for service in Chat Auth Notification; do
    names=$(declared "${service}Service")
    compare "docs/operations.md (Settings, ${service}Service)" "$(table "${service}Service")" "$names"
    compare "services/${service,,}/.env.sample" "$(sample "${service,,}")" "$common"$'\n'"$names"
done
environment=$(code chatctl | grep -oE 'getenv\("[A-Z_]+"' | grep -oE '[A-Z_]+' | sort -u) || :
compare "docs/operations.md (Settings, chatctl)" "$(table chatctl)" "$environment"

# A declaration that is written in another way, or elsewhere, would escape all of this.
for target in ServiceRuntime ChatService AuthService NotificationService; do
    [ "$(code "$target" | grep -cE "$declaration")" -eq "$(declared "$target" | wc -l)" ] ||
        miss "a setting in Sources/$target is declared in a way that scripts/settings-check.sh does not read"
done
while IFS= read -r file; do
    miss "$file declares a setting that scripts/settings-check.sh does not look for"
done < <(git grep -lE "$declaration" -- Sources ':!Sources/ServiceRuntime' ':!Sources/*Service/*')

exit "$failed"
