package policy

grade(c) := "small" if c.size < 50
else := "medium" if c.size < 150
else := "large"

weight("small") := 1
weight("medium") := 2
weight("large") := 3

acceptable(c) if {
	c.kind != "index"
	weight(grade(c)) < 3
}

acceptable(c) if {
	c.kind == "index"
	c.size > 0
}

default allow := false

allow if {
	total := sum([weight(grade(c)) | some c in input.components])
	total > 200
	some c in input.components
	c.name == "component-100"
	acceptable(c)
}
