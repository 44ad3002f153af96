"""What all in one seed's world share: randomness, time, disk, judge, trace."""

import random
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from osupervisor.bridge import packing
from osupervisor.supervisor.core.core import Core
from tests.simulation.oracle import Oracle
from tests.wal.disk import Disk

BEGIN_US = 1_000_000


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


@dataclass(slots=True, eq=False)
class Scene:
    """Every choice comes from `rng`: a seed that fails, fails again."""

    rng: random.Random
    disk: Disk
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
