# The same, by what must not be.
package policy

import rego.v1

default allow := false

allow if {
	data.plugin == "resource"
	not some_part_differs
	count(input.submods) > 0
}

some_part_differs if {
	some _, part in input.submods
	part["ear.status"] != "affirming"
}
