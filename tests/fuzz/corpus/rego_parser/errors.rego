package p
x if { {a | b} == 1 }
y { z }
q := [1, 2
r := "a
