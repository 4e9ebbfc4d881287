package policy

default allow := false

allow if {
	sizes := [c.size | some c in input.components]
	sorted := sort(sizes)
	sorted[0] == min(sizes)
	sorted[count(sorted) - 1] == max(sizes)
	sum(sizes) / count(sizes) > 10
	ordered := sort({c.name | some c in input.components})
	ordered[0] == "component-0"
	array.slice(ordered, 0, 2) == ["component-0", "component-1"]
}
