#!/bin/sh
# Every shell script of the tree is clean for shellcheck.
# shellcheck source=scripts/lint/common.sh
. "$(dirname "$0")/common.sh"

if ! command -v shellcheck > /dev/null; then
    echo "skipped: shellcheck is not installed (scripts/bootstrap --test installs it)"
    exit 0
fi
# SC2016: programs for awk and make stand in single quotes on purpose.
find scripts tests .ci -type f ! -path '*/vectors/*' ! -path '*/corpus/*' 2>/dev/null | sort |
    xargs grep -lIE '^#!/bin/(ba)?sh|^#!/usr/bin/env (ba)?sh|^# shellcheck[ ]shell=' /dev/null |
    xargs shellcheck -x -e SC2016 -f gcc || failed=1
exit $failed
