"""Is what clients saw of one register explained by some order of the operations, each at one moment
between its request and its answer? A search by Wing and Gong, with Lowe's memory of what was tried.

    ops = [Op("put", value="a", begin=0, end=2, result=("ok", 1)),
           Op("get", begin=1, end=3, result=("ok", "a", 1))]
    assert explain(ops) is None

A register has a version and a value; None is a value that is not there. Each write adds one to the version;
a purge of a value that is not there sets it to 0.
"""

NEVER = float("inf")
EMPTY = (0, None)   # version, value
TRIED_MAX = 2000000


class Op:
    """One operation. `result`: ("ok", version) of a write, ("ok",) of a purge, ("ok", value, version) of a get
    (that may not tell the version), ("missing",),
    ("failed",) by its precondition, or None when nobody knows: then it took place before `end`, or never."""

    def __init__(self, kind, value=None, if_match=None, begin=0.0, end=NEVER, result=None):
        self.kind, self.value, self.if_match = kind, value, if_match
        self.begin, self.end, self.result = begin, end, result

    def __repr__(self):
        text = self.kind
        if self.kind == "put":
            text += f" {self.value!r}"
        if self.if_match is not None:
            text += f" if-match {self.if_match}"
        return f"[{self.begin:.4f} to {self.end:.4f}] {text}: {self.result or 'unknown'}"

    def after(self, state):
        """The states that this operation can leave behind, each of them with what was answered."""
        version, value = state
        if self.kind == "get":
            seen = [("missing",)] if value is None else [("ok", value, version), ("ok", value)]
            return [state] if self.result in (*seen, None) else []
        matches = self.if_match is None or self.if_match == (version if value is not None else 0)
        missing = self.kind == "delete" and value is None
        if missing or not matches:
            said = ("missing",) if missing else ("failed",)
            return [state] if self.result in (said, None) else []
        if self.kind == "purge":
            return self.purged(state)
        written = (version + 1, self.value if self.kind == "put" else None)
        if self.result is None:
            return [written, state]
        return [written] if self.result == ("ok", version + 1) else []

    def purged(self, state):
        if state == EMPTY or state[1] is not None:
            said = ("missing",) if state == EMPTY else ("failed",)
            return [state] if self.result in (said, None) else []
        return [EMPTY] if self.result else [EMPTY, state]


class _Entries:
    """Requests and answers in order of time, doubly linked, so that an operation is lifted out in one step."""

    def __init__(self, ops):
        times = [(op.begin, 0, i) for i, op in enumerate(ops)] + [(op.end, 1, i) for i, op in enumerate(ops)]
        times.sort()
        self.is_answer = [False] + [bool(t[1]) for t in times]
        self.op = [-1] + [t[2] for t in times]
        count = len(times) + 1
        self.next = [*range(1, count), -1]
        self.before = [*range(-1, count - 1)]
        self.answer_of = {op: at for at, op in enumerate(self.op) if self.is_answer[at]}

    def _unlink(self, at):
        self.next[self.before[at]] = self.next[at]
        if self.next[at] >= 0:
            self.before[self.next[at]] = self.before[at]

    def _link(self, at):
        self.next[self.before[at]] = at
        if self.next[at] >= 0:
            self.before[self.next[at]] = at

    def lift(self, at):
        self._unlink(at)
        self._unlink(self.answer_of[self.op[at]])

    def put_back(self, at):
        self._link(self.answer_of[self.op[at]])
        self._link(at)


def explain(ops, state=EMPTY):
    """None when the history is linearizable, else a text: how far an order goes, and what does not fit."""
    entries = _Entries(ops)
    done, tried, stack = 0, set(), []
    furthest = ([], state, None)
    at = entries.next[0]
    while at >= 0:
        op = ops[entries.op[at]]
        if entries.is_answer[at]:   # it is not lifted yet, so it cannot have been at any moment
            if len(stack) >= len(furthest[0]):
                furthest = ([entries.op[i] for i, _, _ in stack], state, op)
            if not stack:
                return _tell(ops, furthest)
            at, done, state = stack.pop()
            entries.put_back(at)
            continue                # its other outcomes, if any, then what comes after it
        mask = done | 1 << entries.op[at]
        fresh = next((s for s in op.after(state) if (mask, s) not in tried), None)
        if fresh is None:
            at = entries.next[at]
            continue
        tried.add((mask, fresh))
        if len(tried) > TRIED_MAX:
            raise AssertionError("the history is too tangled to be judged: too much is without an answer")
        stack.append((at, done, state))
        entries.lift(at)
        done, state = mask, fresh
        at = entries.next[0]
    return None


def _tell(ops, furthest):
    order, state, stuck = furthest
    return "\n".join(["no order explains what was seen. The longest one ends with",
                      *(f"  {ops[i]!r}" for i in order[-8:]),
                      f"which leaves version {state[0]}, value {state[1]!r}; then this fits nowhere:",
                      f"  {stuck!r}"])
