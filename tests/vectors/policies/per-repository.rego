# Which image may read which repository.
package policy

default allow := false

images := {
	"shop": "sha256:aa11",
	"billing": "sha256:bb22",
}

repository := data["resource-path"][0]

allow if {
	data.plugin == "resource"
	affirming
	input.submods.cpu0["ear.veraison.annotated-evidence"].init_data_claims.image == images[repository]
}

affirming if input.submods.cpu0["ear.status"] == "affirming"
