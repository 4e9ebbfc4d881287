# A release policy to start from: strongroom policy set scripts/share/policy.rego
#
# input  what the guest's attestation token says (its claims)
# data   what it asks for: data.plugin, data["resource-path"] (a list), data.query
#
# The guest gets the resource when `allow` is true, and only then.

package policy

default allow := false

# Every part of the guest was appraised, and as it should be. The count matters: of nothing at all
# anything can be said.
affirming if {
	count(input.submods) > 0
	every submod in input.submods {
		submod["ear.status"] == "affirming"
	}
}

# What lies below public/ is for every such guest.
allow if {
	data.plugin == "resource"
	data["resource-path"][0] == "public"
	affirming
}

# What lies below another repository is for the guests whose init-data names it.
allow if {
	data.plugin == "resource"
	data["resource-path"][0] == repository
	affirming
}

repository := input.submods.cpu0["ear.veraison.annotated-evidence"].init_data_claims.repository
