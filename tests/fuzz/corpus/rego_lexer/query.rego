x := [a | b, c]; (k, v in {a | b}); some [x, "\ud83d\ude00"] in set()
y = f(1,).z[0] % 2
