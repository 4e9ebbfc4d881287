#!/bin/sh
# Prints strongroom.yaml(5) in roff, made from the key table: man.sh PATH_TO_STRONGROOM
set -eu
[ $# -eq 1 ] || { echo "usage: man.sh PATH_TO_STRONGROOM" >&2; exit 2; }
defaults=$("$1" serve --print-defaults)
[ -n "$defaults" ] || { echo "man.sh: $1 printed no defaults" >&2; exit 1; }

cat <<'EOF'
.TH STRONGROOM.YAML 5 "" "Strongroom" "Strongroom"
.SH NAME
strongroom.yaml \- configuration of the secret broker strongroom
.SH SYNOPSIS
.I /etc/strongroom/strongroom.yaml
.SH DESCRIPTION
One YAML 1.2 document (JSON is YAML too) without anchors, aliases and tags.
A key that is not described here is an error, so that no slip of the pen stays unseen.
Keys that are left out have their defaults.
PINs and private keys never stand in this file; it names where they are.
.PP
.B strongroom serve \-c FILE \-\-check\-config
reads a file and says what is wrong with it.
On SIGHUP the broker reads the file again, and keeps the configuration that it has when the new
one is wrong.
EOF

# Each key comes as comment lines, the last in brackets saying what it takes, and `key: default`.
# A section is a line that ends in a colon; its indentation is its depth.
printf '%s\n' "$defaults" | awk '
function roff(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    if (text ~ /^[.\x27]/) text = "\\&" text
    return text
}
function path(depth, name,   i, out) {
    for (i = 0; i < depth; i++) out = out section[i] "."
    return out name
}
/^[^ ].*:$/ {
    section[0] = substr($0, 1, length($0) - 1)
    printf ".SH %s\n", toupper(section[0])
    next
}
/^ *[a-z_0-9]+:$/ {
    match($0, /^ */)
    name = substr($0, RLENGTH + 1)
    section[RLENGTH / 2] = substr(name, 1, length(name) - 1)
    next
}
/^ +# / {
    sub(/^ +# /, "")
    lines[++count] = $0
    next
}
/^ +[a-z_0-9]+: / {
    match($0, /^ */)
    depth = RLENGTH / 2
    rest = substr($0, RLENGTH + 1)
    colon = index(rest, ": ")
    printf ".TP\n.B %s\n", roff(path(depth, substr(rest, 1, colon - 1)))
    for (i = 1; i <= count; i++) {
        if (lines[i] ~ /^Each entry has:|^  [a-z_]+ \(/) print ".br"
        sub(/^ +/, "", lines[i])
        print roff(lines[i])
    }
    printf ".br\nDefault: %s\n", roff(substr(rest, colon + 2))
    count = 0
}
'

cat <<'EOF'
.SH FILES
.TP
.I /etc/strongroom/strongroom.yaml
The configuration.
.TP
.I /etc/strongroom/pin
The user PIN, mode 0400, with the default token.pin_source.
EOF
