"""Executes one request on the state: a reply, state operations, effects, and how to undo it.

A request happens whole or not at all: an exception, a refused argument, a result that can't be
carried or a commit that is too large roll the state back, and the outcome is an error. What comes
back is bytes, ready for the port:

    outcome   nil ++ result, or error map ++ nil      (the last two members of the answer)
    ops       array of state operations; None for a query, which is not logged
    effects   array of effects

Only what leaves the state unknown (a rollback that fails) passes through as an exception: the
process must end then.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from osupervisor.brain import failure
from osupervisor.brain.api import Brain
from osupervisor.brain.arguments import Arguments, Check, Shape
from osupervisor.brain.context import Context
from osupervisor.brain.errors import BrainError, LoadError, UnpackableError
from osupervisor.brain.packing import NO_EFFECTS, new_encode, pack
from osupervisor.brain.program import Program
from osupervisor.brain.state import StateTree
from osupervisor.brain.values import is_dict, is_list

COMMIT_BYTES_MAX: Final = 16 * 2**20
OUTCOME_BYTES_MAX: Final = COMMIT_BYTES_MAX - 64
"""The outcome travels in a client's frame of 16 MiB, beside the message's id."""
_SMALL_BYTES: Final = OUTCOME_BYTES_MAX // 2
"""Ops and an outcome of at most this much each are not over the limit together."""
NO_OPS: Final = b"\x90"
NIL: Final = b"\xc0"
STATE_READ: Final = "brain.state"
"""What a brain says that it does, while it reads the state for somebody."""
_NIL_OUTCOME: Final = NIL + NIL
_encode_key: Final = new_encode()
"""Of its own, as `activity` may come in the midst of packing a result."""

Executed = tuple[bytes, bytes | None, bytes, Any]
"""outcome, ops (None: a query), effects, undo (None: nothing to undo)."""


class _Op:
    """What is called for an op: its method, and the checks of its arguments."""

    __slots__ = ("check", "exact", "method")

    def __init__(self, method: Callable[..., Any], arguments: Arguments) -> None:
        self.method = method
        self.exact: set[Shape] = arguments.exact
        self.check: Check = arguments.check


class Executor:
    """Runs requests on one brain object and its state tree."""

    def __init__(self, program: Program, tree: StateTree, brain: Brain | None = None) -> None:
        """`brain`: one that nothing has used yet; else it is made here, see `construct`."""
        self.program = program
        self.tree = tree
        self._journal = tree.journal
        self._context = Context(self._check_own)
        self._brain: Any = construct(program) if brain is None else brain
        methods = {name: getattr(self._brain, name) for name in program.ops}
        self._ops: dict[str, _Op] = {
            name: _Op(methods[name], op.arguments)
            for name, op in program.ops.items()
            if op.kind == "op"
        }
        self._queries: dict[str, _Op] = {
            name: _Op(methods[name], op.arguments)
            for name, op in program.ops.items()
            if op.kind == "query"
        }
        attributes = self._brain.__dict__
        attributes.update({name: gene.default for name, gene in program.genes.items()})
        attributes |= {"_context": self._context, "state": tree.root, "hot": tree.hot}

    def execute(self, key: Any, request: Any) -> Executed:
        """Execute `[op, args, kwargs, t_us, seed]` as the request with `key`."""
        op = _found(self._ops, request)
        if op is None:
            return self._execute_query(key, request)
        context = self._context
        context.key = key
        context.current = request
        members: list[Any] = request
        args, kwargs = members[1], members[2]
        if not _is_exact(op, args, kwargs):
            try:
                args, kwargs = op.check(args, kwargs)
            except BaseException as error:
                return failure.of_check(error), NO_OPS, NO_EFFECTS, None
        journal = self._journal
        journal.begin()
        try:
            result = op.method(*args, **kwargs) if kwargs else op.method(*args)
            if result is None:
                outcome = _NIL_OUTCOME
            else:
                outcome = NIL + pack(result, "result")
            effects = context.take_effects() if context.effects else NO_EFFECTS
            ops, undo = journal.finish()
        except BaseException as error:
            journal.rollback_open()
            context.drop_effects()
            return failure.failed(error), NO_OPS, NO_EFFECTS, None
        if (
            len(ops) > _SMALL_BYTES or len(outcome) > _SMALL_BYTES or effects is not NO_EFFECTS
        ) and len(outcome) + len(ops) + len(effects) > OUTCOME_BYTES_MAX:
            journal.rollback((undo,))
            too_large = failure.too_large(len(outcome), len(ops), len(effects))
            return too_large, NO_OPS, NO_EFFECTS, None
        return outcome, ops, effects, undo

    def activity(self) -> tuple[str, bytes]:
        """Name and packed key of the request last begun; safe in a signal handler."""
        return self._context.current[0], _encode_key(self._context.key)

    def state(self, path: Sequence[Any]) -> bytes:
        """The outcome of reading the state at `path`, an array of keys; `[]` is all of it."""
        self._context.key, self._context.current = "", (STATE_READ, path, {}, 0, 0)
        try:
            return _bounded(NIL + pack(self.tree.resolve(path), "state"))
        except BrainError as error:
            return failure.invalid_path(error)

    def read(self, request: Sequence[Any]) -> bytes:
        """The outcome of a query executed by a follower; an op is refused unexecuted."""
        name = request[0] if request else None
        if isinstance(name, str) and name in self._ops:
            return failure.not_a_query(name)
        return self._execute_query("", request)[0]

    def _execute_query(self, key: Any, request: Any) -> Executed:
        """A query, or what is no request at all."""
        context = self._context
        query = _found(self._queries, request)
        if query is None:
            return failure.not_found(request, self.program), NO_OPS, NO_EFFECTS, None
        context.key = key
        context.current = request
        args, kwargs = request[1], request[2]
        if not is_dict(kwargs) or not _is_exact(query, args, kwargs):
            try:
                args, kwargs = query.check(args, kwargs)
            except BaseException as error:
                return failure.of_check(error), None, NO_EFFECTS, None
        context.reading = True
        journal = self._journal
        journal.start_reading()
        try:
            result = query.method(*args, **kwargs) if kwargs else query.method(*args)
            outcome = _bounded(NIL + pack(result, "result"))
        except BaseException as error:
            outcome = failure.failed(error)
        finally:
            journal.end_reading()
            context.reading = False
        return outcome, None, NO_EFFECTS, None

    def _check_own(self, name: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """For `after` and `cast`: raises BrainError unless the own op takes these arguments."""
        if name in self._queries:
            raise BrainError(f"{name} is a query: it changes nothing and nobody gets its result")
        if name not in self._ops:
            raise BrainError(f"no op {name!r}; there are: {', '.join(self._ops)}")
        self._ops[name].check(list(args), dict(kwargs))


def _found(ops: dict[str, _Op], request: Any) -> _Op | None:
    """The op that a request names; None where it names none, or is no request."""
    if not is_list(request) or len(request) != 5:
        return None
    name: Any = request[0]
    return ops.get(name) if isinstance(name, str) else None


def _is_exact(op: _Op, args: Any, kwargs: Any) -> bool:
    """Whether arguments need no check: each is exactly of a type that the check lets pass."""
    if kwargs or not is_list(args):
        return False
    if len(args) == 2:
        return (type(args[0]), type(args[1])) in op.exact
    return tuple(map(type, args)) in op.exact


def _bounded(outcome: bytes) -> bytes:
    if len(outcome) > OUTCOME_BYTES_MAX:
        return failure.too_large(len(outcome), 0, 0)
    return outcome


def construct(program: Program) -> Brain:
    """An object of the class. Raises LoadError when its `__init__` fails."""
    try:
        return program.cls()
    except Exception as error:
        raise LoadError(
            program.target,
            f"{program.cls.__name__}() raised {type(error).__name__}: {error}",
            "__init__ takes no arguments, sets constants only and sees no state",
        ) from error


__all__ = ["COMMIT_BYTES_MAX", "OUTCOME_BYTES_MAX", "Executed", "Executor", "UnpackableError"]
