# Containers of the guest's configuration, each of a registry that is ours.
package policy

import data.policy.evidence.claims

default allow := false

allow if {
	data.plugin == "resource"
	input.submods.cpu0["ear.status"] == "affirming"
	images := [container.image | some container in claims.containers]
	count(images) > 0
	every image in images {
		startswith(image, "registry.example/")
	}
}

evidence.claims := input.submods.cpu0["ear.veraison.annotated-evidence"].init_data_claims.agent_policy_claims
