# A path that may be an array, as it is now, or a string, as it was.
package policy

default allow := false

path := concat("/", data["resource-path"]) if is_array(data["resource-path"])

path := trim(data["resource-path"], "/") if is_string(data["resource-path"])

allow if {
	data.plugin == "resource"
	startswith(path, "team-a/")
	input.submods.cpu0["ear.status"] in ["affirming", "warning"]
	count(split(path, "/")) == 3
}
