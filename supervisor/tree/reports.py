"""What a supervisor tells of its children: OTP's three reports, as values. Pure.

report             when
-----------------  -----------------------------------------------------------
ProgressReport     a child is ready
SupervisorReport   start_error, child_terminated, shutdown_error, and shutdown:
                   the supervisor gives up
CrashReport        a child ended otherwise than it should: what ran, where in
                   the tree, beside whom, and its traceback
"""

from dataclasses import dataclass
from typing import Literal

from osupervisor.supervisor.tree.cause import Cause

Context = Literal["start_error", "child_terminated", "shutdown_error", "shutdown"]


@dataclass(frozen=True, slots=True)
class Offender:
    """The child that a report is about, with what its spec says.

    `incarnation` is unique in the tree; `pid` is None for a task, and for a process
    that was never started.
    """

    id: str
    incarnation: int
    pid: int | None
    restart: str
    shutdown: float | str
    type: str


@dataclass(frozen=True, slots=True)
class ProgressReport:
    supervisor: str
    started: Offender


@dataclass(frozen=True, slots=True)
class SupervisorReport:
    supervisor: str
    context: Context
    cause: Cause
    offender: Offender


@dataclass(frozen=True, slots=True)
class CrashReport:
    """`ancestors`: supervisors, the nearest first. `neighbours`: siblings that ran then.
    `uptime_s`: since it was ready; None if it never was.
    """

    ancestors: tuple[str, ...]
    child: Offender
    cause: Cause
    uptime_s: float | None
    neighbours: tuple[str, ...]


Report = ProgressReport | SupervisorReport | CrashReport
