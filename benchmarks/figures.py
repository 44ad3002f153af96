"""What every end-to-end benchmark reports, and how: sizes, figures with their goals, the machine.

    mode     for
    -----    -----------------------------------------------------------------
    full     the figures that are published; on a machine that does nothing else
    --quick  under a minute: whether it works, and roughly where it stands
    --tiny   a few seconds, for the tests: no number of it means anything

A figure stands beside its goal and beside a floor or peer measured in the same run.
"""

import argparse
import json
import math
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Literal, TypeVar

from osupervisor.supervisor.core import core

Mode = Literal["full", "quick", "tiny"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One number and what belongs beside it.

    at_most, at_least: the goal, in the figure's unit; neither: the number is for information
    peer: what `peer_value` was measured on, in the same run and unit
    details: further numbers of the same measurement
    """

    name: str
    unit: str
    value: float
    at_most: float | None = None
    at_least: float | None = None
    peer: str = ""
    peer_value: float | None = None
    details: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def met(self) -> bool | None:
        """Whether the goal is met. None: there is none."""
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.value >= self.at_least if self.at_least is not None else None

    @property
    def ratio(self) -> float | None:
        """The value by the peer's."""
        return round(self.value / self.peer_value, 3) if self.peer_value else None

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "met": self.met, "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class Arguments:
    """What the command line said."""

    mode: Mode
    as_json: bool
    options: argparse.Namespace

    def pick(self, *, full: T, quick: T, tiny: T) -> T:
        """The size of this mode."""
        sizes: dict[Mode, T] = {"full": full, "quick": quick, "tiny": tiny}
        return sizes[self.mode]


def run(
    doc: str | None,
    measure: Callable[[Arguments], Sequence[Figure]],
    add: Callable[[argparse.ArgumentParser], object] = lambda parser: None,
) -> None:
    """Read the command line, measure, print. SIGTERM ends it as ^C does: what it started ends."""
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON map")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="smaller, under a minute")
    size.add_argument("--tiny", action="store_true", help="a few seconds; means nothing")
    add(parser)
    options = parser.parse_args()
    mode: Mode = "quick" if options.quick else "tiny" if options.tiny else "full"
    signal.signal(signal.SIGTERM, end)
    before, began = os.getloadavg()[0], time.monotonic()
    figures = list(measure(Arguments(mode, options.json, options)))
    report: dict[str, object] = {
        "benchmark": Path(sys.argv[0]).stem,
        "mode": mode,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "machine": machine(),
        "load_before": before,
        "load_after": os.getloadavg()[0],
        "seconds": round(time.monotonic() - began, 1),
        "figures": [figure.as_dict() for figure in figures],
    }
    if options.json:
        print(json.dumps(report, indent=1))
    else:
        print(heading(report))
        print("\n".join(map(line, figures)))


def end(signum: int, frame: FrameType | None) -> None:
    """A signal's handler: leave, so that every block is left and ends what it started."""
    sys.exit(128 + signum)


def machine() -> dict[str, object]:
    """Where this was measured."""
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "compiled": not str(core.__file__).endswith(".py"),
    }


def _cpu() -> str:
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        if row.startswith("model name"):
            return row.partition(":")[2].strip()
    return platform.machine()


def heading(report: dict[str, object]) -> str:
    return (
        f"{report['command']}: {report['seconds']} s, "
        f"load {report['load_before']:.2f} before, {report['load_after']:.2f} after"
    )


def line(figure: Figure) -> str:
    """A figure for people."""
    text = f"  {figure.name:<46}{shown(figure.value):>11} {figure.unit:<4}"
    goal = goal_of(figure.at_most, figure.at_least)
    if goal:
        text += f"  goal {goal} {'met' if figure.met else 'MISSED'}"
    if figure.peer_value is not None:
        ratio = "" if figure.ratio is None else f", {shown(figure.ratio)} times"
        text += f"  ({figure.peer}: {shown(figure.peer_value)}{ratio})"
    details = ", ".join(f"{name} {shown(value)}" for name, value in figure.details.items())
    return f"{text}\n      {details}" if details else text


def goal_of(at_most: float | None, at_least: float | None) -> str:
    """A goal for people; empty: there is none."""
    if at_most is not None:
        return f"<= {shown(at_most)}"
    return f">= {shown(at_least)}" if at_least is not None else ""


def shown(value: float) -> str:
    """Three digits that count, and whole thousands."""
    if value == 0 or abs(value) >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of them don't exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """What stands beside a median."""
    return {
        "runs": len(values),
        "p50": round(statistics.median(values), 3),
        "p90": round(percentile(values, 0.9), 3),
        "p99": round(percentile(values, 0.99), 3),
        "worst": round(max(values), 3),
    }


def median(values: Sequence[float]) -> float:
    return round(statistics.median(values), 3)
