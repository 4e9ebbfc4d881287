#!/bin/sh
# Calls that the house style rules out, and words that do not belong in the tree.
# shellcheck source=scripts/lint/common.sh
. "$(dirname "$0")/common.sh"

c_files | code blank > "$work/all"
program_files | code blank > "$work/program"
program_files | code keep > "$work/program-strings"
test_files | code blank > "$work/tests"

find_in "$work/all" '(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|alloca)[ ]*\(' \
    'a call without bounds or errors'
find_in "$work/tests" '(^|[^A-Za-z0-9_])u?sleep[ ]*\(' \
    'a test waits for a condition with a deadline, not for time to pass'
find_in "$work/program" '(^|[^A-Za-z0-9_])memset[ ]*\([^,]*(pin|key|cek|secret|pass)' \
    'compilers delete such a memset; use explicit_bzero or struct secret'
find_in "$work/program-strings" '%lu.*[^A-Za-z0-9_]rv[^A-Za-z0-9_]' \
    'a CK_RV is printed by name and in hex'

# In text: comments, scripts and pages too. A path of one machine works on one machine.
find broker pkcs11 policy tests scripts .ci README.md Makefile -type f \
    ! -path '*/vectors/*' ! -path '*/corpus/*' ! -name '*.pyc' 2>/dev/null | sort |
    xargs grep -nIHE '(^|[^A-Za-z0-9_.~/-])/(work|root|home)/|(^|[^A-Za-z0-9_])(TO[D]O|FIX[M]E|X[X]X)([^A-Za-z0-9_]|$)' \
        /dev/null > "$work/text"
sed 's/^\([^:]*:[0-9]*\):/\1: a mark of unfinished work, or the path of one machine:  /' "$work/text"
[ -s "$work/text" ] && failed=1

exit $failed
