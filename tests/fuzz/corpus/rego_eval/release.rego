package policy

import rego.v1

default allow = false

allow if {
	data.plugin == "resource"
	every _, s in input.submods { s["ear.status"] in {"affirming", "warning"} }
	not expired
	object.get(input, "nbf", 0) <= time.now_ns() / 1000000000
}

expired if input.exp - 10 < 0
