package policy
default allow := false
allow if { data["resource-path"] == ["a", "b", "c"]; input.submods.cpu0["ear.status"] == "affirming" }
allow if { data["resource-path"] == ["a", "b", "d"]; f(input.exp) == 1 }
allow if { data["resource-path"] = ["a", _, x]; x in {"c", "e"}; data.plugin == "resource" }
allow if concat("/", data["resource-path"]) == "a/b/c"
f(1700000000) := 1 if input.submods
f(x) := 2 if x == 1
f(x) := 3 if { x == 2 } else := 4 if x == 3
f(_) := 1
s contains 1 if data.query.k == "v"
s contains 2 if data.query.k == "w"
s contains 3 if { data.query.k == "v" with data.query.k as "w" }
s contains x if { some x in input.submods.cpu0.vector; data.query.k == "v" }
o[k] := allow if { some k in ["x", "y"]; input.exp == 1700000000 }
o.x := allow if input.exp == 1.7e9
o.z := 1 if input.exp == 2
o["w"] := 2 if input.exp in [1, 2, 1700000000]
