#!/bin/sh
# Which folder may include which: the DEPS_ lines of the Makefile, and who may touch a library.
# shellcheck source=scripts/lint/common.sh
. "$(dirname "$0")/common.sh"

program_files | code blank > "$work/code"

# Folders among themselves. The table is the Makefile's, so linking and including cannot disagree.
sed -n 's/^DEPS_\([a-z0-9]*\)[ \t]*:=\(.*\)/\1\2/p' Makefile > "$work/deps"
[ -s "$work/deps" ] || { echo "Makefile:1: has no DEPS_ lines"; exit 1; }
awk '
function module(path,   part) {
    split(path, part, "/")
    return part[1] == "broker" ? part[2] : part[1]
}
NR == FNR {
    may[$1, $1] = 1; known[$1] = 1
    for (i = 2; i <= NF; i++) may[$1, $i] = 1
    next
}
match($0, /#[ \t]*include[ \t]*"[^"]*"/) {
    split($0, place, ":")
    target = substr($0, RSTART, RLENGTH)
    gsub(/^[^"]*"|"$/, "", target)
    from = module(place[1]); to = module(target)
    if (target !~ /^(broker|pkcs11|policy)\//)
        why = "is not written from the top of the tree"
    else if (!(from in known)) why = "comes from a folder without a DEPS_ line in the Makefile"
    else if (!((from, to) in may)) why = "points the wrong way: " from " may not use " to
    else next
    print place[1] ":" place[2] ": the include of " target " " why
    found = 1
}
END { exit found }' "$work/deps" "$work/code" || failed=1

# Libraries: only these files may know them.
only_in() { # OWNERS REGEX SENTENCE
    grep -vE "^($1)" "$work/code" > "$work/others"
    find_in "$work/others" "$2" "$3"
}
only_in 'pkcs11/' '(^|[^A-Za-z0-9_])CK_[A-Z]' 'a CK_ type outside pkcs11/'
only_in 'pkcs11/' 'include.*(pkcs11\.h|p11-kit)' 'a PKCS#11 header outside pkcs11/'
only_in 'broker/http/' '(^|[^A-Za-z0-9_])MHD_|include.*microhttpd' 'MHD outside broker/http/'
only_in 'broker/http/' '(^|[^A-Za-z0-9_])gnutls_|include.*gnutls' 'GnuTLS outside broker/http/'
only_in 'broker/base/json\.c' '(^|[^A-Za-z0-9_])cJSON_|include.*cJSON\.h' \
    'cJSON outside broker/base/json.c'
only_in 'broker/|pkcs11/' 'include.*(openssl/|pthread\.h|time\.h|sys/)' \
    'policy/ is pure: no OpenSSL, clock, threads or system calls'

exit $failed
