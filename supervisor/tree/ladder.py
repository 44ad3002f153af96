"""What is tried, rung by rung, when brains will not start. Pure.

The top of the tree does not give up and die. Each rung is another way to start:

    rung               what is started
    -----------------  --------------------------------------------------------------
    same code          the code as it is, from the newest checkpoint
    older checkpoint   the same, from the checkpoint before that
    read-only          as on the first rung; and beside it a safe brain, which answers
                       the operator and executes nothing, until one is ready

The rungs are data: a tuple of Rung. Only brains that die before they are ready count, and imports
that fail while no brain lives (a death while serving is a change of lease). More than
`failures_max` of them within `failures_period_s` on one rung, and the next rung is tried, at once
and with a clean slate. On the last rung it stays, for as long as it takes.

    event    rung                                        next start
    -------  ------------------------------------------  -------------------------------
    failed   the same, or the next where it is too much  after its backoff; at once on a
                                                         new rung, and the first time
    ready    the same; from read-only the first          -
    reset    the first: the operator, or new code        at once

A ready brain does not climb back by itself: what made the rungs above fail is still there. Not so
on read-only, which tries what the first rung tries: whatever it was has been mended.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from osupervisor.supervisor.tree.backoff import Backoff
from osupervisor.supervisor.tree.waiting import Waiting

# brain.start_failures_max and brain.start_failures_period_s by default.
FAILURES_MAX = 5
FAILURES_PERIOD_S = 30.0


@dataclass(frozen=True, slots=True)
class Rung:
    """One way to start. `name` is what status and logs call it.

    `checkpoint`: 0 is the newest, 1 the one before it, and so on.
    `is_readonly`: until a brain is ready nothing is executed, and a safe brain answers reads.
    """

    name: str
    checkpoint: int = 0
    is_readonly: bool = False


RUNGS = (
    Rung("same code"),
    Rung("older checkpoint", checkpoint=1),
    Rung("read-only", is_readonly=True),
)
LAST_RUNG = RUNGS[-1]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What to start next, and after how long. `is_new_rung`: it went one down just now."""

    rung: Rung
    delay_s: float
    is_new_rung: bool


class Ladder:
    """Times are monotonic seconds; `jitter` gives numbers in [0, 1)."""

    def __init__(
        self,
        jitter: Callable[[], float],
        rungs: Sequence[Rung] = RUNGS,
        failures_max: int = FAILURES_MAX,
        failures_period_s: float = FAILURES_PERIOD_S,
        backoff: Backoff | None = None,
        index: int = 0,
    ) -> None:
        """`index`: of the rung to begin on; whoever keeps it over a restart has been there."""
        assert rungs, "a ladder has at least one rung"
        self._jitter = jitter
        self._rungs = tuple(rungs)
        self._failures_max = failures_max
        self._period_s = failures_period_s
        self._backoff = Backoff() if backoff is None else backoff
        self._index = min(index, len(self._rungs) - 1)
        self._tries = 0
        self._waiting = Waiting(failures_max, failures_period_s)

    @property
    def rung(self) -> Rung:
        return self._rungs[self._index]

    @property
    def index(self) -> int:
        """Of the rung, from 0."""
        return self._index

    @property
    def is_last(self) -> bool:
        return self._index == len(self._rungs) - 1

    def failed(self, now: float) -> Attempt:
        """A brain died before it was ready."""
        self._waiting.drop(self.rung.name, now)
        if not self._waiting.count(now) and not self.is_last:
            self._step_onto(self._index + 1)
            return Attempt(self.rung, 0.0, is_new_rung=True)
        delay_s = self._backoff.delay_s(self._tries, self._jitter())
        self._tries += 1
        if delay_s > 0.0:
            self._waiting.wait(self.rung.name, delay_s, now)
        return Attempt(self.rung, delay_s, is_new_rung=False)

    def started(self, now: float) -> None:
        """The wait is over: the attempt is being made. The period's clock goes on."""
        self._waiting.drop(self.rung.name, now)

    def ready(self, now: float) -> None:
        """A brain became ready on this rung: the next failure is a first one again."""
        self._waiting.drop(self.rung.name, now)
        self._tries = 0
        if self.rung.is_readonly:
            self.reset()

    def reset(self) -> None:
        """Back to the first rung: the operator has mended something, or there is new code."""
        self._step_onto(0)

    def _step_onto(self, index: int) -> None:
        self._index = index
        self._tries = 0
        self._waiting = Waiting(self._failures_max, self._period_s)
