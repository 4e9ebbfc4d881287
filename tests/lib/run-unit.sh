#!/bin/sh
# Runs unit test programs, as many at once as there are cores: run-unit.sh OUT PROGRAM...
# A program that fails, crashes or leaks fails the whole run; a skipped test is named, never
# counted as passed.
# (Sanitizer options want paths in quotes: the repository may lie under a path with spaces.)
set -u

# One program; what it has to say comes out in one piece.
if [ "$1" = --one ]; then
    out=$2 results=$3 program=$4
    log=$(mktemp "$results/XXXXXX") || exit 1
    name=${program#"$out"/tests/unit/}
    "$program" > "$log" 2>&1
    code=$?
    ok=$(grep -c '^\[       OK \]' "$log")
    skip=$(grep -c '^\[  SKIPPED \]' "$log")
    if [ "$code" -ne 0 ]; then
        echo "FAIL  $name (exit $code)" >> "$log"
    else
        skips=$(grep '^\[  SKIPPED \]' "$log" | sort -u | sed 's/^/      /')
        printf '%s\n' "ok    $name ($ok tests)" ${skips:+"$skips"} > "$log"
    fi
    flock "$results/said" cat "$log"
    echo "$ok $((skip / 2)) $((code != 0))" >> "$results/counts"
    exit 0
fi

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
results=$(mktemp -d) || exit 1
trap 'rm -rf "$results"' EXIT
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$0" --one "$out" "$results"
awk -v programs=$# '
    { passed += $1; skipped += $2; failed += $3 }
    END {
        failed += programs - NR     # not heard of
        printf "%d tests passed, %d of %d programs failed, %d tests skipped\n", passed, failed, programs, skipped
        exit failed != 0
    }' "$results/counts"
