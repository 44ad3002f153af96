"""The brain's code in the simulation: ops on a small state, deterministic in (state, request).

state   {"total": int, "tokens": [str]}
ops     [[0, token]] append a token    [[1, n]] add to the total

    add [n]                 push [token]                fail []          empty []
    cast [token, op]        later [token, us, op]       breed [token, depth]: casts itself twice
    read [] (a query)       and what kills, hangs, or asks for what is no effect
"""

from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import packing

ADD, PUSH, FAIL, EMPTY, LATER, CAST, BREED = (
    "add", "push", "fail", "empty", "later", "cast", "breed",
)  # fmt: skip
POISON, LATE, HANG, NONSENSE = "poison", "late", "hang", "nonsense"
"""LATE: its brain dies when it has executed it, before that is told."""
MISSPEAK = "misspeak"
"""Its brain gives an answer that it was not asked for, instead of its own."""
SLOW = "slow"
"""It runs for too long, and gets through before its brain is ended for that: [False] while that is
on its way, [True] at the very last, so that its answer is never told."""
STOP = "stop"
"""It stops its process."""
GROW = "grow"
"""It takes too much memory, and goes on."""
READ, READ_POISON, READ_HANG, READ_STOP = "read", "read_poison", "read_hang", "read_stop"
QUERIES = frozenset({READ, READ_POISON, READ_HANG, READ_STOP})
KILLS = frozenset({POISON, READ_POISON})
STOPS = frozenset({STOP, READ_STOP})
HANGS = frozenset({HANG, SLOW, READ_HANG, GROW}) | STOPS
POISONED_PATH = "poison"
"""Reading the state there kills."""
LONG_RESULT = "x" * 300
"""Longer than what is held in memory of an outcome: it has to be read from the log."""


@dataclass(slots=True)
class State:
    total: int = 0
    tokens: list[str] = field(default_factory=list[str])

    def packed(self) -> bytes:
        return packing.pack([self.total, self.tokens])

    @classmethod
    def unpacked(cls, data: bytes) -> "State":
        total, tokens = _list(data)
        return cls(total, tokens)

    def seen(self) -> bytes:
        """What a query and a read of the state give."""
        return b"\xc0" + packing.pack([self.total, len(self.tokens)])


@dataclass(frozen=True, slots=True)
class Done:
    """What an execution gave."""

    outcome: bytes
    ops: bytes
    effects: bytes

    def commit(self) -> bytes:
        return b"".join(packing.pack(part) for part in (self.outcome, self.ops, self.effects))


def execute(state: State, request: bytes) -> Done:
    """Run a request on the state, which it changes."""
    op, args, _, t_us, seed = _list(request)
    ops: list[list[Any]] = []
    effects: list[list[Any]] = []
    error: object = None
    result: object = None
    match op:
        case "add":
            ops.append([1, args[0]])
            result = [state.total + args[0], LONG_RESULT if args[0] == 7 else ""]
        case "push":
            ops.append([0, args[0]])
            result = len(state.tokens) + 1
        case "fail":
            data = {"total": state.total}
            error = {"code": "OpFailed", "message": "no", "hint": "", "data": data}
        case "empty":
            result = [len(state.tokens), t_us, seed]
        case "later":
            effects.append(["after", args[1], args[2], [args[0] + ".later"], {}])
            ops.append([0, args[0]])
        case "cast":
            effects.append(["emit", "cast", {}])
            effects.append(["cast", args[1], [args[0] + ".cast"], {}])
            ops.append([0, args[0]])
        case "breed":
            token, depth = args
            if depth:
                effects += [["cast", BREED, [f"{token}.{i}", depth - 1], {}] for i in (0, 1)]
            ops.append([0, token])
        case "late" | "slow" | "misspeak":
            ops.append([1, 5])
        case "nonsense":
            effects.append(["after", -1, PUSH, [args[0]], {}])
        case "read":
            return Done(state.seen(), packing.pack([]), packing.pack([]))
        case _:
            raise AssertionError(op)
    apply(state, packing.pack(ops))
    outcome = packing.pack(error) + packing.pack(result)
    return Done(outcome, packing.pack(ops), packing.pack(effects))


def apply(state: State, ops: bytes) -> None:
    for kind, value in _list(ops):
        if kind == 0:
            state.tokens.append(value)
        else:
            state.total += value


def _list(data: bytes) -> list[Any]:
    found: Any = packing.unpack(data)
    return list(found)
