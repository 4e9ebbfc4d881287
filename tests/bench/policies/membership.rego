package policy

default allow := false

allow if {
	"component-199" in input.names
	not "component-200" in input.names
	some i, name in input.names
	i == 120
	name == "component-120"
	some c in input.components
	c.digest == input.components[199].digest
	c.kind in ["blob", "index", "layer", "config"]
}
