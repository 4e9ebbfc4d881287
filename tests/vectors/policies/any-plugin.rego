# Deliberately for whatever plugin there is. Expected: lint_all_plugins.
package policy

default allow := false

allow if {
	input.submods.cpu0["ear.status"] == "affirming"
	input.iss == "https://kbs.example"
}
