# A policy with its tests beside it.
package policy

default allow := false

allow if {
	data.plugin == "resource"
	input.submods.cpu0["ear.status"] == "affirming"
}

request := {"plugin": "resource", "resource-path": ["a", "b", "c"], "query": {}}

test_affirming if allow with input as guest("affirming") with data.plugin as request.plugin

test_warning if not allow with input as guest("warning") with data.plugin as request.plugin

guest(status) := {"submods": {"cpu0": {"ear.status": status}}}
