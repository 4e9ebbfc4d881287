package policy

# A join: which component holds which layer.
pairs contains [a.name, b.name] if {
	some a in input.few
	some b in input.few
	a.group == b.group
	a.name != b.name
}

default allow := false

allow if {
	count(pairs) > 0
	some [x, y] in pairs
	x == "few-3"
	y == "few-13"
}
