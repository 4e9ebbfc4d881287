package policy

# Array, set and object comprehensions over the components of a guest.
names := [c.name | some c in input.components; c.kind == "layer"]
digests := {c.digest | some c in input.components}
by_name := {c.name: c.digest | some c in input.components; c.size > 10}

default allow := false

allow if {
	count(names) == 50
	count(digests) == 200
	count(by_name) > 100
	by_name["component-42"] in digests
}
