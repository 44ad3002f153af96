"""What goes into a supervisor's core and what comes out, besides time. Pure values.

In: requests of callers. Out: actions, to be carried out in their order.
"""

from dataclasses import dataclass

from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.child_spec import ChildSpec
from osupervisor.supervisor.tree.child_table import Started
from osupervisor.supervisor.tree.errors import TreeError
from osupervisor.supervisor.tree.reports import Report


@dataclass(frozen=True, slots=True)
class AskStart:
    """start_child: answered with Started. `spec` is checked by the core."""

    spec: object


@dataclass(frozen=True, slots=True)
class AskTerminate:
    """terminate_child: answered with None when the child has ended."""

    child_id: str


@dataclass(frozen=True, slots=True)
class AskRestart:
    """restart_child: answered with Started."""

    child_id: str


@dataclass(frozen=True, slots=True)
class AskDelete:
    """delete_child: answered with None."""

    child_id: str


Request = AskStart | AskTerminate | AskRestart | AskDelete
Answer = Started | None | TreeError


@dataclass(frozen=True, slots=True)
class StartChild:
    """Call the spec's start function; say ready, ignored and exited of `incarnation`."""

    incarnation: int
    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class StopChild:
    """Ask it to end, politely. The core watches the time."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class KillChild:
    incarnation: int


@dataclass(frozen=True, slots=True)
class ForgetChild:
    """This incarnation is over, or was given up: its names are free."""

    incarnation: int


@dataclass(frozen=True, slots=True)
class Reply:
    number: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Publish:
    report: Report


@dataclass(frozen=True, slots=True)
class AllReady:
    """The supervisor has started: each child is ready, or chose to be ignored."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The supervisor is over, and no child of it is alive.

    `failed` names the child because of which it never was ready.
    """

    cause: Cause
    failed: tuple[str, Cause] | None = None


Action = StartChild | StopChild | KillChild | ForgetChild | Reply | Publish | AllReady | Ended
