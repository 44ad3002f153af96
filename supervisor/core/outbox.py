"""What the core wants done: answers, frames for brains, and the rarer actions. Values only."""

from dataclasses import dataclass, field
from typing import TypeAlias

from osupervisor.supervisor.core.call import Waiter
from osupervisor.supervisor.core.key import Key


@dataclass(frozen=True, slots=True)
class KillBrain:
    """End this brain's process: it broke the protocol, or belongs to another history."""

    brain: int
    reason: str


@dataclass(frozen=True, slots=True)
class LoadBrain:
    """Hand this brain the segments with what follows `after`, at 0 behind the newest checkpoint."""

    brain: int
    after: int


@dataclass(frozen=True, slots=True)
class BeginCheckpoint:
    """Hand this brain the files for the checkpoint of `lsn`, ahead of the frames in its outbox."""

    brain: int
    lsn: int
    epoch: int
    control: bytes


@dataclass(frozen=True, slots=True)
class ForkBrain:
    """Hand `source` the descriptors for a new follower, ahead of the frames in its outbox."""

    source: int
    brain: int


@dataclass(frozen=True, slots=True)
class KeepDeadLetter:
    """Keep this request where the operator finds it. To be durable before the batch is written."""

    key: Key
    op: str
    request: bytes
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Granted:
    """This brain holds the lease of `epoch`: it is the primary."""

    brain: int
    epoch: int


@dataclass(frozen=True, slots=True)
class GoesAlone:
    """Delivery `n`, a suspect, comes next to a brain that has nothing else in flight: see what
    memory that takes before, if there is a limit to it. Ahead of the frames in its outbox."""

    brain: int
    n: int


@dataclass(frozen=True, slots=True)
class AnswerFromLog:
    """Answer with the outcome in the record `lsn`, which is too long to be held in memory."""

    waiter: Waiter
    lsn: int


Action: TypeAlias = (
    KillBrain
    | LoadBrain
    | BeginCheckpoint
    | ForkBrain
    | KeepDeadLetter
    | Granted
    | GoesAlone
    | AnswerFromLog
)


@dataclass(slots=True)
class Outbox:
    """Filled by the core, emptied by the shell each turn; actions before frames before answers."""

    answers: list[tuple[Waiter, bytes]] = field(default_factory=list[tuple[Waiter, bytes]])
    actions: list[Action] = field(default_factory=list[Action])
