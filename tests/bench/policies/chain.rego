package policy

# Rules that rest on rules, and an else chain, as a hand-written release policy has them.
cpu := input.submods.cpu0
vector := cpu["ear.trustworthiness-vector"]

affirmed(v) if {
	v >= 2
	v < 32
}

executables_ok if affirmed(vector.executables)
hardware_ok if affirmed(vector.hardware)
fresh if input.exp - input.iat <= 600

level := "high" if {
	executables_ok
	hardware_ok
	fresh
} else := "low" if hardware_ok
else := "none"

needed := {"default": "low", "vault": "high"}

default allow := false

allow if {
	data.plugin == "resource"
	some repository, wanted in needed
	data["resource-path"][0] == repository
	wanted in {"low", level}
	data["resource-path"][1] == "key"
}
