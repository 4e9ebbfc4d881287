# One launch measurement, written down here.
package policy

default allow := false

evidence := input.submods.cpu0["ear.veraison.annotated-evidence"]

launch_digests := {
	"9f2c0f6d3f3c0a7a3a86ce1f9d3f2f4f2b8f1fbd6a3c1d5e7f90123456789abc",
	"1a2b3c4d5e6f708192a3b4c5d6e7f8090a1b2c3d4e5f60718293a4b5c6d7e8f9",
}

allow if {
	data.plugin == "resource"
	evidence.snp.measurement in launch_digests
	evidence.snp.policy_debug_allowed == false
	input.submods.cpu0["ear.trustworthiness-vector"].hardware == 2
}
