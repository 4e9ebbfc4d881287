# The stock default, closed: there is a CPU, and its evidence is not the sample's.
package policy

default allow := false

plugin := data.plugin

allow if {
	plugin == "resource"
	evidence := input.submods.cpu0["ear.veraison.annotated-evidence"]
	not evidence.sample
}
