# What is revoked is refused; what has no serial is refused too.
package policy

default allow := false

revoked := {"s1", "s2"}

evidence := input.submods.cpu0["ear.veraison.annotated-evidence"]

allow if {
	data.plugin == "resource"
	serial := evidence.snp.chip_id
	not serial in revoked
	evidence.snp.policy.debug == false
}
