"""What an author writes a brain with: `Brain`, `op`, `query`, `gene`, `evolvable`.

    class Counter(Brain):
        @op
        def add(self, name: str, n: int = 1) -> int:
            self.state[name] = self.state.get(name, 0) + n
            return self.state[name]

An op is a deterministic function of (state, request). It reads and changes `self.state` and
`self.hot`, asks for effects, and returns something MessagePack can carry; it performs nothing.
No other attribute can be assigned in it: what stands there would not be in the log. Attributes set
in `__init__` are constants, computed once and shared by all processes of a brain; `__init__` takes
no arguments and sees no state.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

from osupervisor.brain.context import Context, Request
from osupervisor.brain.errors import BrainError, StateError

MARK = "__osupervisor__"

F = TypeVar("F", bound=Callable[..., Any])
N = TypeVar("N", int, float)


def _mark(function: F, kind: str) -> F:
    setattr(function, MARK, kind)
    return function


def op(function: F) -> F:
    """Marks a method as an op: logged, whole or not at all, arguments checked by annotations."""
    return _mark(function, "op")


def query(function: F) -> F:
    """Marks a method as a query: it may not change the state, is not logged, and is consistent."""
    return _mark(function, "query")


def evolvable(function: F) -> F:
    """Marks a method whose source evolution may rewrite; clients can't call it."""
    return _mark(function, "evolvable")


class Gene(Generic[N]):
    """A number of a brain's class that evolution may move within [low, high]."""

    def __init__(self, default: N, low: N, high: N) -> None:
        if not low <= default <= high:
            raise BrainError(f"gene: found default {default!r}, wanted {low!r} <= it <= {high!r}")
        self.default: N = default
        self.low: N = low
        self.high: N = high

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> N: ...
    def __get__(self, instance: object | None, owner: type) -> Self | N:
        return self if instance is None else self.default


def gene(default: N, *, low: N, high: N) -> Gene[N]:
    """A number that evolution may move: `slack = gene(0.25, low=0.0, high=1.0)`; read `self.slack`.

    Raises BrainError when the default is outside of the bounds.
    """
    return Gene(default, low, high)


class Brain:
    """Base class of brains. `state` is a tree of dicts, lists and scalars; `hot` of numbers.

    `self.hot["placed"] += 1` counts in shared memory, where it is read without asking the brain; it
    is a part of the state all the same. Names: str of at most 48 bytes; at most 512 of them.
    """

    state: dict[Any, Any]
    hot: dict[str, Any]
    _context: Context

    def emit(self, event: str, /, **payload: Any) -> None:
        """Ask for an event, published once the commit is acknowledged.

        Raises EffectError for a name or payload that can't be written, and in a query.
        """
        self._context.emit(event, payload)

    def after(self, seconds: float, op: str, /, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of the own op `op`, `seconds` from now by log time; runs exactly once.

        Raises EffectError for seconds that are negative or over a hundred years, for an unknown op,
        for arguments that its annotations refuse, and in a query.
        """
        self._context.after(seconds, op, args, kwargs)

    def cast(self, op: str, /, *args: Any, **kwargs: Any) -> None:
        """Ask for a call of the own op `op` as soon as this commit is acknowledged.

        Raises EffectError as `after` does.
        """
        self._context.cast(op, args, kwargs)

    def now(self) -> float:
        """The request's time in unix seconds. It never decreases, and is the same at a replay."""
        return self._context.now()

    @property
    def random(self) -> Random:
        """The request's own random numbers, the same at a replay."""
        return self._context.random()

    @property
    def request(self) -> Request:
        """What is being executed: op, key, time, seed."""
        return self._context.request()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("state", "hot"):
            self._replace(name, value)
        elif "_context" in self.__dict__:
            raise _unassignable(self, name)
        else:
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if "_context" in self.__dict__:
            raise _unassignable(self, name)
        object.__delattr__(self, name)

    def _replace(self, name: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise StateError((name,), f"found {type(value).__name__}, wanted a dict")
        content: dict[Any, Any] = {**value}
        tree: dict[Any, Any] = getattr(self, name)
        tree.clear()
        tree.update(content)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in ("state", "hot", "_context"):
                raise BrainError(
                    f"{type(self).__name__}: nothing is being executed, so that there is no "
                    "state, time or effect yet; use it in an op or a query"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _unassignable(brain: Brain, name: str) -> StateError:
    return StateError(
        (),
        f"{type(brain).__name__}.{name} can't be assigned in an op",
        f"it would not be in the log; keep it in self.state[{name!r}]",
    )


def mark_of(function: object) -> str | None:
    """`op`, `query` or `evolvable`; None for what carries no mark."""
    mark = getattr(function, MARK, None)
    return mark if isinstance(mark, str) else None
