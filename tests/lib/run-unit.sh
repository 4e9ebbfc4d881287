#!/bin/sh
# Runs unit test programs one after the other: run-unit.sh OUT PROGRAM...
# A program that fails, crashes or leaks fails the whole run; a skipped test is named, never
# counted as passed.
# (Sanitizer options want paths in quotes: the repository may lie under a path with spaces.)
set -u
out=$1; shift
here=$(cd "$(dirname "$0")/../.." && pwd)
export ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions='$here/tests/lib/lsan.supp':print_suppressions=0"
export UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1"
export TSAN_OPTIONS="halt_on_error=0:exitcode=99:suppressions='$here/tests/lib/tsan.supp':${TSAN_OPTIONS:-}"
export CMOCKA_MESSAGE_OUTPUT=STDOUT
export STRONGROOM_SOURCE="$here"
STRONGROOM_FAULT_MODULE=$(cd "$out" && pwd)/tests/fault/p11fault.so
export STRONGROOM_FAULT_MODULE
[ $# -gt 0 ] || { echo "run-unit: no test programs" >&2; exit 1; }
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
failed=0; passed=0; skipped=0; programs=0
for program in "$@"; do
    programs=$((programs + 1))
    name=${program#"$out"/tests/unit/}
    "$program" > "$log" 2>&1
    code=$?
    ok=$(grep -c '^\[       OK \]' "$log")
    skip=$(grep -c '^\[  SKIPPED \]' "$log")
    passed=$((passed + ok)); skipped=$((skipped + skip / 2))
    if [ "$code" -ne 0 ]; then
        failed=$((failed + 1))
        cat "$log"
        echo "FAIL  $name (exit $code)"
    else
        echo "ok    $name ($ok tests)"
        grep '^\[  SKIPPED \]' "$log" | sort -u | sed 's/^/      /'
    fi
done
echo "$passed tests passed, $failed of $programs programs failed, $skipped tests skipped"
[ "$failed" -eq 0 ]
