# One repository for every guest, another for those in order.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	data["resource-path"][0] == "public"
}

allow if {
	data.plugin == "resource"
	data["resource-path"] == ["keys", "release", input.submods.cpu0["ear.veraison.annotated-evidence"].init_data_claims.build]
	input.submods.cpu0["ear.status"] == "affirming"
}
