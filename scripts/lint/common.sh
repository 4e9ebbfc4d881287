# Sourced by the linters: which tree, which files, and C code without its comments.
# shellcheck shell=sh
# Every linter takes the tree to look at as its only argument (default: the one it lies in), prints
# `file:line: sentence` for each finding, and fails when there is one.

here=$(cd "$(dirname "$0")" && pwd) || exit 2
tree=$(cd "${1:-$here/../..}" && pwd) || exit 2
cd "$tree" || exit 2

# Names of files are ours and have no white space; the path of the tree may have some.
program_files() { find broker pkcs11 policy -name '*.[ch]' 2>/dev/null | sort; }
test_files() { find tests -name '*.[ch]' 2>/dev/null | sort; }
c_files() { program_files; test_files; }

# Reads names; prints `file:line:code` with comments gone and, when $1 is "blank", with the content
# of string and character literals gone too.
code() {
    xargs awk -v blank="$1" '
    FNR == 1 { inside = 0 }
    {
        rest = $0; out = ""
        while (rest != "") {
            if (inside) {
                end = index(rest, "*/")
                if (!end) break
                rest = substr(rest, end + 2); inside = 0
            } else if (match(rest, /\/\*|\/\/|"(\\.|[^"\\])*"|\047(\\.|[^\047\\])*\047/)) {
                what = substr(rest, RSTART, RLENGTH)
                out = out substr(rest, 1, RSTART - 1)
                rest = substr(rest, RSTART + RLENGTH)
                if (what == "/*") { inside = 1; out = out " " }
                else if (what == "//") break
                else if (blank == "blank" && $0 !~ /^[ \t]*#[ \t]*include/)
                    out = out substr(what, 1, 1) substr(what, 1, 1)
                else out = out what
            } else { out = out rest; break }
        }
        if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out
    }' /dev/null
}

# find_in STREAM REGEX SENTENCE: each line of the file STREAM (as `code` prints it) whose code
# matches. A regex is matched against the code alone, never against the name of the file.
find_in() {
    awk -v regex="$2" -v sentence="$3" '
    {
        split($0, part, ":")
        place = part[1] ":" part[2]
        code = substr($0, length(place) + 2)
        if (code ~ regex) { print place ": " sentence ":  " code; found = 1 }
    }
    END { exit found }' "$1" || failed=1
}

# shellcheck disable=SC2034  # the linters read it
failed=0
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
