#!/bin/sh
# Files of at most 600 lines, functions of at most 70. Tables are exempt, by name.
# shellcheck source=scripts/lint/common.sh
. "$(dirname "$0")/common.sh"

tables='broker/config/config_keys.c'

# A function's braces stand in column 0 and nothing else's do. `main` of a unit test is a table.
c_files | xargs awk -v tables=" $tables " '
function file_end() {
    if (name != "" && lines > 600 && index(tables, " " name " ") == 0) {
        print name ":600: the file has " lines " lines; 600 is the ceiling"
        found = 1
    }
}
FNR == 1 { file_end(); name = FILENAME; open = 0 }
{ lines = FNR }
/^[A-Za-z_].*\(/ { head = $0 }
/^\{/ { open = FNR }
/^\}/ && open {
    if (FNR - open + 1 > 72 && !(name ~ /^tests\/unit\// && head ~ / main\(/)) {
        sub(/\(.*/, "", head)
        print name ":" open ": " head "() has " FNR - open - 1 " lines; 70 is the ceiling"
        found = 1
    }
    open = 0
}
END { file_end(); exit found }' /dev/null || failed=1

exit $failed
