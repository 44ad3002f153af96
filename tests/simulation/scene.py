"""What all in one seed's world share: randomness, time, disk, judge, trace."""

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from osupervisor.bridge import packing
from osupervisor.bridge.port_messages import DELIVERIES_MAX
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.core.core import Core
from tests.simulation.oracle import Memory, Oracle
from tests.wal.disk import Disk

BEGIN_US = 1_000_000_000


class Row(NamedTuple):
    """One line of the trace. `message`: the body of what was said, if anything was.

    A tuple, because a run makes a thousand.
    """

    step: int
    now_us: int
    what: str
    message: bytes

    def __str__(self) -> str:
        return f"{self.step} {self.now_us} {self.what} {_short(self.message)}".rstrip()


@dataclass(frozen=True, slots=True)
class Sizes:
    """The settings of one world: small, so that every bound is reached."""

    limits: Limits
    memory: Memory
    ring_bytes: int

    @classmethod
    def draw(cls, rng: random.Random) -> "Sizes":
        limits = Limits(
            window=rng.choice((1, 4, 4, 9)),
            queue_max=12,
            queue_bytes_max=4000,
            op_timeout_us=1_000_000,
            wait_timeout_us=4_000_000,
            window_bytes_max=rng.choice((2000, 150)),
            pending_max=rng.choice((40, 40, 5)),
            pending_bytes_max=rng.choice((2000, 2000, 90)),
            copies_max=rng.choice((64, 2)),
            deliveries_max=rng.choice((DELIVERIES_MAX, DELIVERIES_MAX, 2, 1)),
            control_bytes_min=rng.choice((2**22, 900)),
        )
        memory = Memory(
            window_us=rng.choice((60_000_000, 60_000_000, 1_500_000)),
            keys_max=rng.choice((200, 200, 3)),
            clients_max=rng.choice((200, 200, 1)),
            entries_max=rng.choice((200, 200, 2)),
        )
        return cls(limits, memory, rng.choice((3000, 3000, 400)))


@dataclass(slots=True, eq=False)
class Scene:
    """Every choice comes from `rng`: a seed that fails, fails again."""

    rng: random.Random
    disk: Disk
    sizes: Sizes
    oracle: Oracle
    core: Core | None = None
    """Of the supervisor that lives."""
    now_us: int = BEGIN_US
    faults: bool = True
    """Whether anything may still go wrong."""
    step: int = 0
    trace: list[Row] = field(default_factory=list[Row])

    def note(self, what: str, message: bytes = b"") -> None:
        self.trace.append(Row(self.step, self.now_us, what, message))


def _short(message: bytes) -> str:
    if not message:
        return ""
    said: Any = packing.unpack(message)
    if said[:2] == [2, "record"]:
        return f"records of {len(said[2][0])} bytes"
    return f"{said!r:.150}"
