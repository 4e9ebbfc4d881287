# Young tokens only, and none that lives long.
package policy

default allow := false

now := time.now_ns() / 1000000000

allow if {
	data.plugin == "resource"
	input.submods.cpu0["ear.status"] == "affirming"
	input.exp - input.iat <= 300
	input.iat <= now + 30
	object.get(input, "nbf", 0) <= now
}
