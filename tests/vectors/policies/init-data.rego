# The guest was started with a configuration whose digest is known.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	evidence := input.submods[_]["ear.veraison.annotated-evidence"]
	lower(base64.encode(evidence.init_data)) == expected
	evidence.init_data_claims["aa.toml"].token_configs.kbs.url == "https://kbs.example:8080"
}

expected := "3q2+7w=="
