package policy

p contains [x, y] if {
	some i, x in data["resource-path"]
	y := upper(x)
	i > 0
}

q[k] := v if some k, v in input.submods.cpu0.vector

f(0) := 1

f(n) := n * 2 if n > 0

else := -n

r := {k: f(k) | some k in numbers.range(-3, 3)}

s.t[x].u := count(x) if some x in ["a", "bc"]

w := $"{input.none} {r[1]}" if p with input as {"submods": {}} with data.plugin as "x"

x := sum([a | a := walk(input)[1]; is_number(a)])
