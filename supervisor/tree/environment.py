"""What all supervisors of one tree share: where reports go, names, numbers, jitter. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

from osupervisor.supervisor.tree.registry import Registry
from osupervisor.supervisor.tree.reports import Report


def unheard(report: Report) -> None:
    """Where reports go when nobody listens."""
    del report


@dataclass(frozen=True, slots=True)
class Environment:
    """Made once, at the top; a nested supervisor gets its parent's.

    `jitter` gives numbers in [0, 1), from a generator that the owner seeds, so that a
    run can be repeated. `report` runs on the loop, a turn after what it reports; what
    it raises goes to the loop's exception handler and harms no supervisor.
    `incarnations` numbers every start of every child of the tree.
    """

    jitter: Callable[[], float]
    report: Callable[[Report], None] = unheard
    registry: Registry = field(default_factory=Registry)
    incarnations: Iterator[int] = field(default_factory=lambda: count(1))
