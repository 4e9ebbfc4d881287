# Every part of the guest is appraised as affirming.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	count(input.submods) > 0
	every _, part in input.submods {
		part["ear.status"] == "affirming"
	}
}
