"""The children of one supervisor, in start order, and what each is doing. Pure.

phase        from                     to
-----------  -----------------------  -------------------------------------------------
stopped      ignored, terminated,     starting
             ended and not restarted
starting     stopped, restarting      running | stopped (ignored) | restarting | stopping
running      starting                 restarting | stopping | stopped
restarting   running, starting        starting | stopped: it died and will be tried again
stopping     running, starting        stopped
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from osupervisor.supervisor.tree.cause import Cause
from osupervisor.supervisor.tree.child_spec import ChildSpec, ChildType, Modules
from osupervisor.supervisor.tree.reports import Offender


class Phase(StrEnum):
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class ChildRef:
    """One incarnation of one child: what a pid is in OTP. `number` is unique in the tree."""

    path: str
    number: int
    pid: int | None

    def __str__(self) -> str:
        return f"{self.path}#{self.number}" + ("" if self.pid is None else f" (pid {self.pid})")


@dataclass(frozen=True, slots=True)
class Started:
    """A child that was started by hand. `child` is None when it chose to be ignored."""

    child: ChildRef | None
    info: object = None


@dataclass(frozen=True, slots=True)
class ChildView:
    """One line of which_children. `child` is None where nothing runs or will by itself.

    `restarts`: how often it was started again, for whatever reason, since its spec came.
    `ready_s`: monotonic; None where nothing runs.
    """

    id: str
    child: ChildRef | None
    phase: Phase
    type: ChildType
    modules: Modules
    restarts: int
    ready_s: float | None


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """As OTP counts: specs, those alive, and the specs again by type."""

    specs: int
    active: int
    supervisors: int
    workers: int


@dataclass(slots=True)
class Child:
    """`incarnation` 0: nothing is alive. `ended`: it has ended and nobody has dealt with
    that yet. `tries`: restarts since it last was up for long, what backoff counts.
    """

    spec: ChildSpec
    phase: Phase = Phase.STOPPED
    incarnation: int = 0
    pid: int | None = None
    ready_s: float | None = None
    ignored: bool = False
    ended: Cause | None = None
    ended_s: float = 0.0
    tries: int = 0
    starts: int = 0

    @property
    def id(self) -> str:
        return self.spec.id

    @property
    def is_temporary(self) -> bool:
        return self.spec.restart == "temporary"

    @property
    def uptime_s(self) -> float | None:
        """From ready to its end; None if it never was ready. Of an ended child only."""
        return None if self.ready_s is None else self.ended_s - self.ready_s

    def begin(self, incarnation: int) -> None:
        """A new start: nothing of the last one is left."""
        self.phase = Phase.STARTING
        self.incarnation = incarnation
        self.starts += 1
        self.pid = self.ready_s = self.ended = None
        self.ignored = False

    def end(self, phase: Phase) -> None:
        """Nothing is alive any more."""
        self.phase = phase
        self.incarnation = 0
        self.pid = self.ready_s = self.ended = None


class ChildTable:
    """Start order is the order of the specs, then of start_child; it never changes."""

    __slots__ = ("_children", "_supervisor")

    def __init__(self, supervisor: str, specs: Sequence[ChildSpec]) -> None:
        self._supervisor = supervisor
        self._children = {spec.id: Child(spec) for spec in specs}

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children.values())

    def __len__(self) -> int:
        return len(self._children)

    def ids(self) -> tuple[str, ...]:
        return tuple(self._children)

    def get(self, child_id: str) -> Child | None:
        return self._children.get(child_id)

    def incarnation(self, number: int) -> Child | None:
        """The child that this incarnation is of, while it counts as alive."""
        return next((c for c in self if c.incarnation == number), None) if number else None

    def add(self, spec: ChildSpec) -> Child:
        assert spec.id not in self._children, spec.id
        child = self._children[spec.id] = Child(spec)
        return child

    def remove(self, child_id: str) -> None:
        del self._children[child_id]

    def ref(self, child: Child) -> ChildRef:
        return ChildRef(f"{self._supervisor}/{child.id}", child.incarnation, child.pid)

    def offender(self, child: Child) -> Offender:
        spec = child.spec
        return Offender(
            id=spec.id,
            incarnation=child.incarnation,
            pid=child.pid,
            restart=spec.restart,
            shutdown=spec.shutdown_or_default,
            type=spec.type,
        )

    def running(self) -> tuple[str, ...]:
        return tuple(c.id for c in self if c.phase is Phase.RUNNING)

    def views(self) -> tuple[ChildView, ...]:
        """The last started first, as OTP has it."""
        return tuple(self._view(child) for child in reversed(self._children.values()))

    def counts(self) -> ChildCounts:
        supervisors = sum(c.spec.type == "supervisor" for c in self)
        active = sum(c.phase in (Phase.RUNNING, Phase.STOPPING) for c in self)
        return ChildCounts(len(self), active, supervisors, len(self) - supervisors)

    def _view(self, child: Child) -> ChildView:
        alive = child.phase in (Phase.RUNNING, Phase.STOPPING)
        return ChildView(
            id=child.id,
            child=self.ref(child) if alive else None,
            phase=child.phase,
            type=child.spec.type,
            modules=child.spec.modules,
            restarts=max(0, child.starts - 1),
            ready_s=child.ready_s,
        )
