"""A brain class compiled into tables: ops and queries by name, genes, evolvable methods.

Everything that can be wrong with the class is found here, before a brain starts, and said at once.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from osupervisor.brain.api import Brain, Gene, mark_of
from osupervisor.brain.arguments import ANNOTATION_ERRORS, Arguments
from osupervisor.brain.errors import LoadError

RESERVED_NAMES = frozenset(name for name in dir(Brain) if not name.startswith("__")) | {
    "hot",
    "state",
}
OPS_MAX = 1_000

Kind = Literal["op", "query"]


@dataclass(frozen=True, slots=True)
class Op:
    """One op or query of a class. `function` takes the brain first."""

    name: str
    kind: Kind
    function: Callable[..., Any]
    arguments: Arguments


@dataclass(frozen=True, slots=True)
class Program:
    """What can be called on a brain of `cls`, and what evolution may change in it."""

    target: str
    cls: type[Brain]
    ops: dict[str, Op]
    genes: dict[str, Gene[Any]]
    evolvables: dict[str, Callable[..., Any]]


def compile_program(cls: type[Brain], target: str = "") -> Program:
    """The tables of `cls`. Raises LoadError that lists all that is wrong with it."""
    target = target or f"{cls.__module__}:{cls.__qualname__}"
    members = dict(_members(cls))
    problems = [problem for name, member in members.items() for problem in _problems(name, member)]
    ops: dict[str, Op] = {}
    for name, member in members.items():
        mark = mark_of(member)
        if mark in ("op", "query") and not problems:
            kind: Kind = "op" if mark == "op" else "query"
            try:
                ops[name] = Op(name, kind, member, Arguments(name, member))
            except ANNOTATION_ERRORS as error:
                problems.append(f"{name}: an annotation can't be checked: {_first_line(error)}")
    if not problems and not ops:
        problems.append("it has no op and no query: mark methods with @op or @query")
    if len(ops) > OPS_MAX:
        problems.append(f"found {len(ops)} ops, wanted at most {OPS_MAX}")
    if problems:
        raise LoadError(target, "; ".join(problems), "correct the class")
    return Program(
        target=target,
        cls=cls,
        ops=ops,
        genes={name: member for name, member in members.items() if isinstance(member, Gene)},
        evolvables={n: m for n, m in members.items() if mark_of(m) == "evolvable"},
    )


def _members(cls: type[Brain]) -> Iterator[tuple[str, Any]]:
    """Marked methods and genes as they stand in the classes, by name."""
    for name in sorted(dir(cls)):
        raw = inspect.getattr_static(cls, name)
        if isinstance(raw, Gene) or _inner_mark(raw) is not None or _overridden_mark(cls, name):
            yield name, raw


def _inner_mark(raw: Any) -> str | None:
    return mark_of(raw) or mark_of(getattr(raw, "__func__", raw))


def _overridden_mark(cls: type[Brain], name: str) -> str | None:
    marks = [_inner_mark(vars(base)[name]) for base in cls.__mro__ if name in vars(base)]
    return next((mark for mark in marks if mark is not None), None)


def _problems(name: str, member: Any) -> list[str]:
    if name in RESERVED_NAMES:
        return [f"{name}: the name is taken by Brain: choose another"]
    if isinstance(member, Gene):
        return []
    if not inspect.isfunction(member):
        return [f"{name}: found {type(member).__name__}, wanted a plain method"]
    mark = mark_of(member)
    if mark is None:
        return [f"{name}: it overrides an op and is not marked: mark it with @op or @query"]
    return [] if mark == "evolvable" else _op_problems(name, inspect.unwrap(member))


def _op_problems(name: str, function: Callable[..., Any]) -> list[str]:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return [
            f"{name}: found an async def; ops are short and deterministic, and nothing else runs "
            "while one does, so that there is nothing to await: write a plain def, do long work "
            "outside of the brain and let it call back with the result"
        ]
    if inspect.isgeneratorfunction(function):
        return [f"{name}: found a generator; an op gives one result: return a list"]
    if name.startswith("_"):
        return [f"{name}: a name with a leading underscore can't be called: rename it"]
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return [f"{name}: it has no self: write `def {name}(self, ...)`"]
    return []


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
