# Appraisal by functions: each part by what it is.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	cpu := input.submods.cpu0
	appraised(cpu)
	not debuggable(cpu)
}

appraised(part) if {
	affirming(part["ear.trustworthiness-vector"].executables)
	affirming(part["ear.trustworthiness-vector"].hardware)
	affirming(part["ear.trustworthiness-vector"].configuration)
}

affirming(claim) if {
	claim >= 2
	claim <= 31
}

debuggable(part) if {
	part["ear.trustworthiness-vector"].configuration == 36
}
