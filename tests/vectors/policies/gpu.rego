# Model keys: a CPU and at least one GPU, all of them in order; the path is made of proper parts.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	data["resource-path"][0] == "models"
	every part in data["resource-path"] {
		is_string(part)
		part != ""
	}
	gpus := [name | some name, _ in input.submods; startswith(name, "gpu")]
	count(gpus) > 0
	every _, s in input.submods {
		in_order(s)
	}
	input.submods.cpu0
}

in_order(s) if s["ear.status"] == "affirming"

in_order(s) if {
	s["ear.status"] == "warning"
	s["ear.veraison.annotated-evidence"].nvidia.driver_version in {"550.54.15", "570.86.10"}
}
