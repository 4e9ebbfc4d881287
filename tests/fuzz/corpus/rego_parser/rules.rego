package a.b["c"].if

import rego.v1
import data.x as y # comment

default allow := false

default f(_) := {"a": [1, {2}]}

allow if {
	some k, v in input.a["b"]
	not v in {1, -2.5e3}
	every z in [x | x := k[_]; x != null] { z >= 1 }
} else := 2 if input.x == 1 with data.y as {}

f(x, [_, y]) := $"a{x}\{" if { y } 
# why
else := -x[0].c

p.q[r].s contains {k: v | some k, v in y; k | v} if true
keyword.contains := `raw
text`
