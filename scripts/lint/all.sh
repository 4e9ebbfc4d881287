#!/bin/sh
# Runs every linter, one line each, with the findings below a failing one.
# `all.sh --self-test` plants a bad file for every rule and expects the linter to find it.
set -u
lint=$(cd "$(dirname "$0")" && pwd) || exit 2

run_all() {
    failed=0
    for name in layers forbidden headers sizes shell; do
        if out=$("$lint/$name.sh" 2>&1); then
            case $out in
                "") echo "ok    lint $name" ;;
                *) echo "ok    lint $name ($out)" ;;
            esac
        else
            echo "FAIL  lint $name"
            printf '%s\n' "$out" | sed 's/^/      /'
            failed=1
        fi
    done
    return $failed
}

# ---- self-test ----------------------------------------------------------------------------------

new_tree() {
    mkdir -p "$tree/broker/base" "$tree/broker/api" "$tree/broker/http" "$tree/pkcs11" \
        "$tree/policy" "$tree/tests/unit/api" "$tree/scripts"
    cp "$lint/../../Makefile" "$tree/"
    printf '#pragma once\nint base_f(void);\n' > "$tree/broker/base/good.h"
    printf '#include "broker/base/good.h"\n\n/* strcpy( in a comment, CK_RV too */\nint base_f(void)\n{\n    return 0;\n}\n' \
        > "$tree/broker/base/good.c"
    printf '#!/bin/sh\necho "$1"\n' > "$tree/scripts/good"
}

# expect LINTER FILE LINE TEXT: the text, planted as FILE, is found at FILE:LINE.
expect() {
    cases=$((cases + 1))
    printf '%b' "$4" > "$tree/$2"
    out=$("$lint/$1.sh" "$tree" 2>&1)
    code=$?
    rm -f "$tree/$2"
    case "$code $out" in
        "1 "*"$2:$3"*) return ;;
    esac
    echo "FAIL  lint $1 does not see $2:$3: $4"
    [ -z "$out" ] || printf '%s\n' "$out" | sed 's/^/      /'
    failed=1
}

# A function with this many lines between its braces.
function_of() { printf 'int f(void)\n{\n'; awk -v n="$1" 'BEGIN { for (; n > 0; n--) print "    ;" }'; printf '}\n'; }

plant_layers() {
    expect layers broker/base/bad.c 1 '#include "broker/api/x.h"\n'
    expect layers broker/api/bad.c 2 '\n#  include "broker/http/server.h"\n'
    expect layers pkcs11/bad.h 1 '#include "broker/store/store.h"\n'
    expect layers policy/bad.c 1 '#include "broker/base/buf.h"\n'
    expect layers policy/bad.c 1 '#include <openssl/evp.h>\n'
    expect layers policy/bad.c 1 '#include <time.h>\n'
    expect layers broker/api/bad.c 1 '#include "good.h"\n'
    expect layers broker/api/bad.c 1 'static CK_RV rv;\n'
    expect layers broker/api/bad.c 1 '#include <p11-kit/pkcs11.h>\n'
    expect layers broker/api/bad.c 1 'void f(struct MHD_Connection *c);\n'
    expect layers broker/api/bad.c 1 '#include <gnutls/gnutls.h>\n'
    expect layers broker/api/bad.c 1 'void f(gnutls_session_t s);\n'
    expect layers broker/base/bad.c 1 'void *p = cJSON_Parse("");\n'
}

plant_forbidden() {
    home=home
    for call in strcpy strcat sprintf vsprintf gets strtok atoi alloca; do
        expect forbidden broker/base/bad.c 2 "/* x */\n    $call(a);\n"
    done
    expect forbidden tests/unit/api/bad.c 1 'sleep(1);\n'
    expect forbidden tests/unit/api/bad.c 1 'x = usleep (1);\n'
    expect forbidden pkcs11/bad.c 1 'memset(&s->pin, 0, sizeof s->pin);\n'
    expect forbidden pkcs11/bad.c 1 'memset(cek, 0, 32);\n'
    expect forbidden pkcs11/bad.c 1 'log("%lu", rv);\n'
    # Turned round, so that this file has none of them.
    for mark in 'DO-TO' 'ME-FIX' 'XX-X'; do
        expect forbidden broker/base/bad.c 2 "/* a\n ${mark#*-}${mark%-*}: b */\n"
    done
    expect forbidden scripts/bad 1 "cd /${home}/me\n"
}

plant_rest() {
    expect headers broker/base/bad.h 1 '#pragma once\nint f(struct unknown x);\n'
    expect headers broker/base/bad.h 1 'enum x { A };\n'
    expect sizes broker/base/bad.c 600 "$(awk 'BEGIN { for (n = 601; n > 0; n--) printf "int a;\\n" }')"
    expect sizes broker/base/bad.c 2 "$(function_of 71)"
    ! command -v shellcheck > /dev/null || expect shell scripts/bad 2 '#!/bin/sh\necho $1\n'
}

self_test() {
    tree="$(mktemp -d)/a tree" || exit 2
    trap 'rm -rf "${tree%/*}"' EXIT
    new_tree
    cases=0
    failed=0
    function_of 70 > "$tree/broker/base/longest.c"
    for name in layers forbidden headers sizes shell; do
        out=$("$lint/$name.sh" "$tree" 2>&1) && continue
        echo "FAIL  lint $name finds fault with a good tree"
        printf '%s\n' "$out" | sed 's/^/      /'
        failed=1
    done
    plant_layers
    plant_forbidden
    plant_rest
    [ $failed -ne 0 ] || echo "ok    lint self-test ($cases planted faults, all found)"
    return $failed
}

case ${1:-} in
    "") run_all ;;
    --self-test) self_test ;;
    *) echo "usage: all.sh [--self-test]" >&2; exit 2 ;;
esac
