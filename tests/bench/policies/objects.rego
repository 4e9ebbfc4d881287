package policy

defaults := {"debug": false, "level": 3, "mode": "strict"}

settings := object.union(defaults, object.get(input, "settings", {}))

known := {"debug", "level", "mode", "extra"}

default allow := false

allow if {
	object.keys(settings) == known
	object.get(settings, ["extra", "deep"], 0) == 7
	count(object.remove(settings, ["mode"])) == 3
	count(object.filter(settings, ["mode", "level"])) == 2
	merged := object.union_n([c | some c in input.few])
	merged.name == "few-59"
	every k, _ in settings {
		k in known
	}
}
