"""What a supervisor is at: the messages that wait, the plan, and the step. Pure values."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from osupervisor.supervisor.tree.actions import Request
from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.child_table import Child, Started

Verb = Literal["start", "stop"]


@dataclass(slots=True)
class Step:
    """The one child that is now being started or stopped.

    `forced`: why its kill was sent; None while it still has time.
    """

    verb: Verb
    child: Child
    deadline_s: float
    forced: Cause | None = None


@dataclass(slots=True)
class Plan:
    """What is done, one step after another, and what follows.

    `started` after each start that went well. `done` when all are through; `failed`
    instead, at the first start that went wrong.
    """

    todo: deque[tuple[Verb, str]]
    done: Callable[[], None]
    failed: Callable[[Child, Cause], None]
    started: Callable[[Started], None]


def starts(ids: Sequence[str]) -> list[tuple[Verb, str]]:
    """Start these, in this order."""
    return [("start", child_id) for child_id in ids]


def stops(ids: Sequence[str]) -> list[tuple[Verb, str]]:
    """Stop these, given in start order, the last first."""
    return [("stop", child_id) for child_id in reversed(ids)]


@dataclass(frozen=True, slots=True)
class Died:
    """This incarnation has ended, and nobody had asked it to."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Due:
    """This child is to be tried again."""

    child_id: str


@dataclass(frozen=True, slots=True)
class Asked:
    number: int
    request: Request


Message = Died | Due | Asked
