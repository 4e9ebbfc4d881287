package policy

lines contains line if {
	some c in input.components
	line := sprintf("%s=%s (%d)", [upper(c.name), trim_prefix(c.digest, "sha256:"), c.size])
}

path := concat("/", [lower(p) | some p in data["resource-path"]])

default allow := false

allow if {
	count(lines) == 200
	path == "default/key/one"
	parts := split(concat(",", [c.name | some c in input.components]), ",")
	count(parts) == 200
	replace(parts[7], "component", "part") == "part-7"
}
