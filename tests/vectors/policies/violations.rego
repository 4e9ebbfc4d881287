# What is wrong, collected; nothing may be.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	count(input.submods) > 0
	count(violations) == 0
}

violations contains sprintf("%s is %s", [name, part["ear.status"]]) if {
	some name, part in input.submods
	part["ear.status"] != "affirming"
}

violations contains sprintf("%s has claim %s at %d", [name, claim, value]) if {
	some name, part in input.submods
	some claim, value in part["ear.trustworthiness-vector"]
	value > 31
}
