"""What telemetry costs: `python benchmarks/telemetry.py [--json]`.

ns per call, the median and the best of several runs, beside a call of a function that does
nothing with the same arguments. Goal: an event that nobody attached to, below 200 ns.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from osupervisor.supervisor.telemetry.events import Events
from osupervisor.supervisor.telemetry.exposition import render
from osupervisor.supervisor.telemetry.metrics import Metrics

RUNS = 31
CALLS = 20_000
SERIES = 500


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    median_ns: float
    best_ns: float
    goal_ns: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = [*_events(), *_metrics()]
    if arguments.json:
        json.dump({"load": os.getloadavg(), "rows": [asdict(row) for row in rows]}, sys.stdout)
        return
    print(f"load {os.getloadavg()[0]:.1f}")
    for row in rows:
        goal = "" if row.goal_ns is None else f"   goal {row.goal_ns:.0f}"
        print(f"{row.name:42} {row.median_ns:12.0f} ns   best {row.best_ns:.0f}{goal}")


def _events() -> list[Row]:
    events = Events()
    events.attach("heard", ["heard"], _nothing)

    def floor(calls: int) -> None:
        for _ in range(calls):
            _nothing("wal.append", {"records": 3}, {"epoch": 7})

    def unattached(calls: int) -> None:
        for _ in range(calls):
            events.execute("wal.append", {"records": 3}, {"epoch": 7})

    def attached(calls: int) -> None:
        for _ in range(calls):
            events.execute("heard", {"records": 3}, {"epoch": 7})

    return [
        _measure("a call that does nothing", floor),
        _measure("execute, nobody attached", unattached, goal_ns=200.0),
        _measure("execute, one handler", attached),
    ]


def _metrics() -> list[Row]:
    metrics = Metrics()
    counter = metrics.counter("requests_total", "Requests.", ("op",))
    cell = counter.labels("add")
    histogram = metrics.histogram("op_seconds", "Duration.", ("op",))
    for number in range(SERIES):
        histogram.labels(f"op{number}").observe(0.003)
    observed = histogram.labels("op0")

    def add(calls: int) -> None:
        for _ in range(calls):
            cell.add()

    def look_up_and_add(calls: int) -> None:
        for _ in range(calls):
            counter.labels("add").add()

    def observe(calls: int) -> None:
        for _ in range(calls):
            observed.observe(0.003)

    def expose(calls: int) -> None:
        for _ in range(calls):
            render(metrics)

    return [
        _measure("counter, its cell at hand", add),
        _measure("counter, its cell looked up", look_up_and_add),
        _measure("histogram", observe),
        _measure(f"render of {SERIES} histograms", expose, calls=1),
    ]


def _measure(
    name: str, run: Callable[[int], None], goal_ns: float | None = None, calls: int = CALLS
) -> Row:
    times_ns: list[float] = []
    for _ in range(RUNS):
        began_ns = time.perf_counter_ns()
        run(calls)
        times_ns.append((time.perf_counter_ns() - began_ns) / calls)
    return Row(name, statistics.median(times_ns), min(times_ns), goal_ns)


def _nothing(event: object, measurements: object, metadata: object) -> None:
    """A handler, and the floor."""


if __name__ == "__main__":
    main()
