package policy

# Sets of a thousand members.
reported := {x | some x in input.ids}
allowed := {x | some x in input.allowed_ids}

default allow := false

allow if {
	count(reported) == 1000
	count(reported & allowed) == 500
	count(reported | allowed) == 1500
	count(reported - allowed) == 500
	max(reported & allowed) in allowed
}
