# A level by what the hardware is, the resource by the level.
package policy

default allow := false

default level := 0

level := 2 if {
	hardware == 2
	executables == 2
} else := 1 if {
	hardware == 2
}

hardware := input.submods.cpu0["ear.trustworthiness-vector"].hardware

executables := input.submods.cpu0["ear.trustworthiness-vector"].executables

wanted := {"low": 1, "high": 2}

allow if {
	data.plugin == "resource"
	level >= wanted[data["resource-path"][1]]
}
