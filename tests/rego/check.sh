#!/bin/sh
# Rego conformance: the runner against files of all kinds, our own cases, and those of a folder.
#   check.sh RUNNER [CASES]
# The last line counts the cases of the folder, when there is one. Not 0 when anything failed.
set -u
run=$1 cases=${2:-} status=0

printed=$("$run" -r tests/rego/refused.txt tests/rego/odd)
if [ $? -ne 1 ] || ! printf '%s\n' "$printed" | diff -u tests/rego/odd-want.txt -; then
    echo "FAIL  the runner judges otherwise than tests/rego/odd-want.txt says"
    status=1
fi
echo "own cases:"
"$run" -f -l -r tests/rego/refused.txt tests/rego/cases || status=1
if [ -n "$cases" ]; then
    echo "$cases:"
    "$run" -f -t -l -r tests/rego/refused.txt "$cases" || status=1
else
    echo "skip  no further cases: CASES=DIR names a folder of them"
fi
exit $status
