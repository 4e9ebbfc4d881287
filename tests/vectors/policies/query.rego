# A query is allowed only where it is none, or asks for a version.
package policy

default allow := false

allow if {
	data.plugin in {"resource", "pkcs11"}
	known_query
	input.submods.cpu0["ear.status"] == "affirming"
}

known_query if count(data.query) == 0

known_query if {
	object.keys(data.query) == {"version"}
	regex.match(`^[0-9]+$`, data.query.version)
}
