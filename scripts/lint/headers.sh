#!/bin/sh
# Each header compiles alone, and twice, with the project's own flags as errors.
# shellcheck source=scripts/lint/common.sh
. "$(dirname "$0")/common.sh"

# $(info) prints the flags with their quotes, for eval to read.
flags=$(printf 'include Makefile\nprint-flags: ; $(info $(CC) $(ALL_CFLAGS)) @:\n' |
    make -s -f - print-flags WERROR=1 VARIANT=asan) || exit 2
eval "set -- $flags"

check() {
    printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
        "$@" -fsyntax-only -x c - > "$work/$n.out" 2>&1 || {
            printf '%s:1: does not compile alone\n' "$header"
            sed 's/^/    /' "$work/$n.out"
        } > "$work/$n.bad"
}

n=0
cores=$(nproc 2>/dev/null || echo 1)
for header in $(c_files | grep '\.h$'); do
    n=$((n + 1))
    check "$@" &
    [ $((n % cores)) -ne 0 ] || wait
done
wait
for bad in "$work"/*.bad; do
    [ -e "$bad" ] || continue
    cat "$bad"
    failed=1
done
exit $failed
