#!/bin/sh
# Runs fuzz targets: run.sh OUT SECONDS PROGRAM...
# Each starts from tests/fuzz/corpus/<name>, copied, so the repository is never written, and from
# fuzz-seeds/<name> beside OUT when seeds.py put some there; targets that read Rego know its words. A crash,
# leak, time-out or too much memory fails the run; what caused it stays beside OUT, in fuzz-crashes.
# The target `negative` crashes on its own seed: if it does not, the others prove nothing.
set -u
corpora=$(cd "$(dirname "$0")" && pwd)/corpus || exit 2

run_one() { # CRASHES SECONDS PROGRAM
    crashes=$1; seconds=$2; program=$3
    name=${program##*/}
    name=${name#fuzz_}
    work=$(mktemp -d) || return 1
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/corpus"
    [ ! -d "$corpora/$name" ] || cp -R "$corpora/$name/." "$work/corpus/"
    seeds=${crashes%/*}/fuzz-seeds/$name
    [ ! -d "$seeds" ] || cp -R "$seeds/." "$work/corpus/"
    case $name in rego_lexer | rego_parser | rego_eval) set -- -dict="${corpora%/*}/rego.dict" ;; *) set -- ;; esac
    prefix=$crashes/$name-
    [ "$name" != negative ] || prefix=$work/
    "$program" "$@" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$prefix" "$work/corpus" > "$work/log" 2>&1
    code=$?
    if [ "$name" = negative ]; then
        if [ $code -ne 0 ] && ls "$work"/crash-* > /dev/null 2>&1; then
            echo "ok    fuzz negative (crashes are seen and kept)"
            return 0
        fi
        echo "FAIL  fuzz negative: its crash was not seen, so nothing here can be trusted"
        return 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/log")
    if [ $code -eq 0 ]; then
        echo "ok    fuzz $name (${runs:-0} runs)"
        return 0
    fi
    echo "FAIL  fuzz $name (exit $code)"
    tail -n 40 "$work/log" | sed 's/^/      /'
    sed -n 's/.*Test unit written to /      kept: /p' "$work/log"
    return 1
}

if [ "${1:-}" = --one ]; then
    shift
    run_one "$@"
    exit
fi

[ $# -ge 3 ] || { echo "usage: run.sh OUT SECONDS PROGRAM..." >&2; exit 2; }
crashes=$(dirname "$1")/fuzz-crashes
seconds=$2
shift 2
mkdir -p "$crashes" || exit 1
case " $* " in
    *fuzz_negative\ *) ;;
    *) echo "note  fuzz_negative is not among the targets: nothing shows that crashes are seen" ;;
esac
printf '%s\0' "$@" | xargs -0 -P "$(nproc)" -n 1 "$0" --one "$crashes" "$seconds" || {
    echo "fuzz: a target failed; the inputs are in $crashes" >&2
    exit 1
}
