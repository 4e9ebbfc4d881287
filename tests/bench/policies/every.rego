package policy

default allow := false

allow if {
	count(input.components) > 0
	every c in input.components {
		startswith(c.digest, "sha256:")
		c.size >= 0
		c.kind in {"layer", "config", "blob", "index"}
	}
	every i, c in input.components {
		c.name == input.names[i]
	}
}
