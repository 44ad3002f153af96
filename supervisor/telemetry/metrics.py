"""Counters, gauges and histograms with fixed buckets, by name and labels. No I/O.

    requests = metrics.counter("osupervisor_requests_total", "Requests, by outcome.", ("code",))
    ok = requests.labels("ok")      # once; a cell
    ok.add()                        # on the hot path

A family has one name, one kind, and one cell for each combination of label values. It
never has more than SERIES_MAX of them: what comes after that is counted together, under
OTHER, as labels may come from outside and memory is bounded. In its `lines` a cell keeps
what stands before its numbers in a text, so that it is put together once.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import inf, isfinite
from typing import Generic, Literal, TypeVar

from osupervisor.supervisor.telemetry.errors import MetricError

Kind = Literal["counter", "gauge", "histogram"]

SERIES_MAX = 1000
OTHER = "(other)"
# Seconds, from a call on this machine (50 us) to a deadline (30 s): each about 2.5 times the last.
DURATION_BOUNDS_S = (
    *(5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")


class Counter:
    """Only rises, from 0 at the start of the process."""

    __slots__ = ("lines", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.lines: tuple[str, ...] = ()

    def add(self, amount: float = 1) -> None:
        assert amount >= 0, f"a counter never falls: {amount}"
        self.value += amount


class Gauge:
    """What is now."""

    __slots__ = ("lines", "value")

    def __init__(self) -> None:
        self.value: float = 0
        self.lines: tuple[str, ...] = ()

    def set(self, value: float) -> None:
        self.value = value

    def add(self, amount: float) -> None:
        self.value += amount


class Histogram:
    """How many values fell into each bucket; `bounds` are their upper ends, inclusive."""

    __slots__ = ("bounds", "counts", "lines", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.lines: tuple[str, ...] = ()

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


CellT = TypeVar("CellT", Counter, Gauge, Histogram)


class Family(Generic[CellT]):
    """All cells of one name."""

    __slots__ = ("_make", "help", "kind", "label_names", "name", "series")

    def __init__(
        self,
        name: str,
        kind: Kind,
        help_: str,
        label_names: Sequence[str],
        make: Callable[[], CellT],
    ) -> None:
        self.name = name
        self.kind: Kind = kind
        self.help = help_
        self.label_names = tuple(label_names)
        self.series: dict[tuple[str, ...], CellT] = {}
        self._make: Callable[[], CellT] = make

    def labels(self, *values: str) -> CellT:
        """The cell with these values, in the order of the names; made at its first use."""
        cell = self.series.get(values)
        return self._new(values) if cell is None else cell

    def remove(self, *values: str) -> None:
        """What these labels stood for is gone; its cell is no longer shown."""
        self.series.pop(values, None)

    def _new(self, values: tuple[str, ...]) -> CellT:
        if len(values) != len(self.label_names):
            raise MetricError(self.name, values, f"values for {self.label_names}")
        if len(self.series) >= SERIES_MAX:
            values = (OTHER,) * len(values)
        return self.series.setdefault(values, self._make())


AnyFamily = Family[Counter] | Family[Gauge] | Family[Histogram]


class Metrics:
    """All families of a process, in the order in which they were made."""

    __slots__ = ("_families", "_refreshers")

    def __init__(self) -> None:
        self._families: dict[str, AnyFamily] = {}
        self._refreshers: list[Callable[[], None]] = []

    def counter(self, name: str, help_: str, labels: Sequence[str] = ()) -> Family[Counter]:
        """By convention its name ends in `_total`. Raises MetricError."""
        family = Family(name, "counter", help_, labels, Counter)
        self._add(family)
        return family

    def gauge(self, name: str, help_: str, labels: Sequence[str] = ()) -> Family[Gauge]:
        """By convention its name ends in its unit. Raises MetricError."""
        family = Family(name, "gauge", help_, labels, Gauge)
        self._add(family)
        return family

    def histogram(
        self,
        name: str,
        help_: str,
        labels: Sequence[str] = (),
        bounds: Sequence[float] = DURATION_BOUNDS_S,
    ) -> Family[Histogram]:
        """`bounds` rise, and end before infinity, whose bucket is always there."""
        limits = tuple(bounds)
        if not _is_rising(limits) or "le" in labels:
            raise MetricError(name, (limits, labels), "finite, rising bounds and no label `le`")
        family = Family(name, "histogram", help_, labels, lambda: Histogram(limits))
        self._add(family)
        return family

    def refresh_with(self, refresher: Callable[[], None]) -> None:
        """Called before each reading: the place to set gauges that are known elsewhere."""
        self._refreshers.append(refresher)

    def families(self) -> tuple[AnyFamily, ...]:
        """For reading, fresh."""
        for refresher in self._refreshers:
            refresher()
        return tuple(self._families.values())

    def _add(self, family: AnyFamily) -> None:
        _check_names(family.name, family.label_names)
        if family.name in self._families:
            raise MetricError(family.name, "a second one", "a name of its own")
        self._families[family.name] = family


def _check_names(name: str, labels: Sequence[str]) -> None:
    if not _NAME.fullmatch(name):
        raise MetricError(name, name, f"a name like {_NAME.pattern}")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise MetricError(name, label, f"a label like {_LABEL.pattern}")
    if len(set(labels)) != len(labels):
        raise MetricError(name, labels, "each label once")


def _is_rising(bounds: Sequence[float]) -> bool:
    pairs = zip((-inf, *bounds), bounds, strict=False)
    return bool(bounds) and all(isfinite(high) and low < high for low, high in pairs)
