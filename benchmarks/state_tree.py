"""What a tracked change costs beside a plain one: `python benchmarks/state_tree.py [--json]`.

Each figure is the median of several runs, in ns; "best" is the fastest run, which other work on the machine
disturbs least. A tracked change includes its record: begin, 100 changes, finish, divided by 100. Takes
under 30 s.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from osupervisor.brain.state import StateTree

RUNS = 15
CHANGES = 100
LOAD_KEYS = 1_000_000
KEYS = 100_000
VALUE = "v" * 100


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; all times in ns per change, None where there is no such thing."""

    name: str
    plain: float | None
    tracked: float
    best: float
    goal: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON map")
    as_json = parser.parse_args().json
    load_before = os.getloadavg()[0]
    started = time.perf_counter()
    rows = [*changes(), *reads(), *requests(), *loads()]
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_before": load_before,
        "load_after": os.getloadavg()[0],
        "seconds": round(time.perf_counter() - started, 1),
    }
    if as_json:
        json.dump({"machine": machine, "rows": [asdict(row) for row in rows]}, sys.stdout, indent=1)
        print()
        return
    print(f"{'':44}{'plain':>12}{'tracked':>12}{'best':>12}{'ratio':>8}{'goal':>9}")
    for row in rows:
        ratio = f"{row.tracked / row.plain:.1f}" if row.plain else ""
        plain = f"{row.plain:,.0f}" if row.plain is not None else ""
        goal = f"{row.goal:,.0f}" if row.goal is not None else ""
        print(f"{row.name:44}{plain:>12}{row.tracked:>12,.0f}{row.best:>12,.0f}{ratio:>8}{goal:>9}")
    print(", ".join(f"{key} {value}" for key, value in machine.items()))


def changes() -> list[Row]:
    """One kind of change, 100 to a request."""
    keys = [f"k{number}" for number in range(CHANGES)]

    def set_top(root: Any) -> None:
        for key in keys:
            root[key] = 7

    def set_new(root: Any) -> None:
        for key in keys:
            root[key] = VALUE
        root.clear()

    def set_deep(root: Any) -> None:
        inner = root["a"]["b"]
        for key in keys:
            inner[key] = 7

    def set_in_list(root: Any) -> None:
        rows = root["rows"]
        for row in rows:
            row["n"] = 7

    def append_top(root: Any) -> None:
        items = root["items"]
        for key in keys:
            items.append(key)

    def append_deep(root: Any) -> None:
        items = root["a"]["b"]["items"]
        for key in keys:
            items.append(key)

    def store(root: Any) -> None:
        for key in keys:
            root[key] = {"name": key, "size": 3, "open": True}

    def delete(root: Any) -> None:
        for key in keys:
            del root["table"][key]

    def queue(root: Any) -> None:
        for _ in keys:
            root["jobs"].pop(0)

    tables: list[tuple[str, dict[str, Any], Callable[[Any], None], float | None]] = [
        ("set, top", dict.fromkeys(keys, 1), set_top, 590),
        ("set, top, new key, 100 B", {}, set_new, None),
        ("set, depth 3", {"a": {"b": dict.fromkeys(keys, 1)}}, set_deep, 745),
        ("set in 100 dicts of a list", {"rows": [{"n": 1} for _ in keys]}, set_in_list, None),
        ("append, depth 1", {"items": []}, append_top, 465),
        ("append, depth 3", {"a": {"b": {"items": []}}}, append_deep, 620),
        ("store a small dict", {}, store, 2150),
        ("delete from 100 keys", {"table": dict.fromkeys(keys, 1)}, delete, None),
        ("pop(0) of a small dict", {"jobs": [{"n": 1, "to": "x"} for _ in keys]}, queue, None),
    ]
    rows = [_compare(name, state, act, goal) for name, state, act, goal in tables]
    return [*rows, _count()]


def _compare(
    name: str, state: dict[str, Any], act: Callable[[Any], None], goal: float | None
) -> Row:
    plain, tracked = [], []
    for _ in range(RUNS):
        fresh, _hot = StateTree(state).plain()
        plain.append(_time(lambda: act(fresh)) / CHANGES)
        tree = StateTree(state)
        tree.begin()
        tree.finish()
        tracked.append(_time(lambda: _request(tree, act)) / CHANGES)
    return _row(name, plain, tracked, goal)


def _count() -> Row:
    def act(hot: Any) -> None:
        for _ in range(CHANGES):
            hot["placed"] += 1

    plain, tracked = [], []
    for _ in range(RUNS):
        tree, table = StateTree({}, {"placed": 1}), {"placed": 1}
        plain.append(_time(lambda: act(table)) / CHANGES)
        tracked.append(_time(lambda: _request(tree, lambda _: act(tree.hot))) / CHANGES)
    return _row("hot counter + 1", plain, tracked, None)


def reads() -> list[Row]:
    """Reading, which is the C code of dict and list."""
    state = {"a": {"b": {"c": 1}}, "rows": [{"n": number} for number in range(1_000)]}
    tree = StateTree(state)

    def get(root: Any) -> None:
        for _ in range(1_000):
            root["a"]["b"]["c"]

    def iterate(root: Any) -> None:
        for row in root["rows"]:
            row["n"]

    rows = []
    for name, act, count, goal in (
        ("nested get", get, 1_000, 51),
        ("iterate 1,000 children", iterate, 1, 21_000),
    ):
        plain = [_time(lambda: act(state)) / count for _ in range(RUNS)]
        tracked = [_time(lambda: act(tree.root)) / count for _ in range(RUNS)]
        rows.append(_row(name, plain, tracked, goal))
    return rows


def requests() -> list[Row]:
    """A request of five changes on 100,000 keys: executed, followed, rehearsed, undone."""
    state = _large(KEYS)
    plain, _ = StateTree(state).plain()
    primary, follower = StateTree(state), StateTree(state)
    count = 2_000
    results: dict[str, list[float]] = {}

    def note(name: str, act: Callable[[], object]) -> None:
        results.setdefault(name, []).append(_time(act) / count)

    for run in range(RUNS):
        commits: list[bytes] = []

        def execute(tree: StateTree = primary, out: list[bytes] = commits, run: int = run) -> None:
            for number in range(run * count, (run + 1) * count):
                tree.begin()
                _five(tree.root, number)
                out.append(tree.finish()[0])

        def follow(out: list[bytes] = commits) -> None:
            for ops in out:
                follower.apply(ops)

        def plainly(run: int = run) -> None:
            for number in range(run * count, (run + 1) * count):
                _five(plain, number)

        def rehearse(run: int = run, out: list[bytes] = commits) -> None:
            for number, ops in enumerate(out, run * count):
                follower.begin()
                _five(follower.root, number)
                own, undo = follower.finish()
                if run % 3 == 1 or not follower.settle(own, undo, ops):
                    follower.rollback(undo)
                    follower.apply(ops)

        note("plain", plainly)
        note("tracked", execute)
        note(
            ("follow", "undone", "kept")[run % 3],
            (follow, rehearse, rehearse)[run % 3],
        )
    base = results["plain"]
    rows = [
        _row("request of 5 changes, with its record", base, results["tracked"], 4_900),
        _row("  a follower applies it", base, results["follow"], 3_500),
        _row("  rehearsed, undone, applied", base, results["undone"], 7_700),
        _row("  rehearsed, kept as it is equal", base, results["kept"], 4_700),
    ]
    return [*rows, *_small_requests(follower)]


def _small_requests(tree: StateTree) -> list[Row]:
    count = 2_000
    commits = []
    for number in range(count):
        tree.begin()
        tree.root[f"key:{number}"] = VALUE
        commits.append(tree.finish()[0])

    def apply() -> None:
        for ops in commits:
            tree.apply(ops)

    def nothing() -> None:
        for _ in range(count):
            tree.begin()
            tree.finish()

    def query() -> None:
        for _ in range(count):
            with tree.read_only():
                pass

    def undo() -> None:
        for entries in reversed(undos):
            tree.rollback(entries)

    rows = []
    for name, act, goal in (
        ("a follower applies a set, depth 1, 100 B", apply, 900),
        ("a request that changes nothing", nothing, None),
        ("a query's context", query, None),
    ):
        rows.append(_row(name, None, [_time(act) / count for _ in range(RUNS)], goal))
    times = []
    for _ in range(RUNS):
        undos = []
        for number in range(count):
            tree.begin()
            tree.root[f"key:{number}"] = 3
            undos.append(tree.finish()[1])
        times.append(_time(undo) / count)
    return [*rows, _row("roll back a request of one set", None, times, None)]


def loads() -> list[Row]:
    """Filling a tree from a checkpoint's plain dicts; here the figures are per load, in ns."""
    flat = {f"key:{number}": VALUE for number in range(LOAD_KEYS)}
    rows = [_load(f"load {LOAD_KEYS:,} flat keys", flat)]
    del flat
    nested = {f"key:{number}": {"n": number, "tags": ["a", "b"]} for number in range(KEYS)}
    return [*rows, _load(f"load {KEYS:,} dicts with a list each", nested)]


def _load(name: str, state: dict[str, Any]) -> Row:
    plain, tracked = [], []
    for _ in range(3):
        plain.append(_time(lambda: dict(state)))
        tree = StateTree()
        gc.disable()
        tracked.append(_time(lambda: tree.load(state, {})))
        gc.enable()
        del tree
    return _row(name, plain, tracked, None)


def _large(keys: int) -> dict[str, Any]:
    return {
        "users": {f"u{number}": {"name": "x" * 20, "visits": 0} for number in range(keys // 2)},
        "flat": {f"k{number}": VALUE for number in range(keys // 2)},
        "log": [],
        "stats": {"seen": {"total": 0}},
    }


def _five(root: Any, number: int) -> None:
    user = root["users"][f"u{number % 50_000}"]
    user["visits"] += 1
    user["last"] = number
    root["flat"][f"k{number % 50_000}"] = VALUE
    root["log"].append(number)
    root["stats"]["seen"]["total"] += 1


def _request(tree: StateTree, act: Callable[[Any], None]) -> None:
    tree.begin()
    act(tree.root)
    tree.finish()


def _time(act: Callable[[], object]) -> float:
    """Nanoseconds of CPU that `act` takes, with the collector set as in a brain: all is frozen."""
    gc.collect()
    gc.freeze()
    start = time.process_time_ns()
    act()
    return float(time.process_time_ns() - start)


def _row(name: str, plain: list[float] | None, tracked: list[float], goal: float | None) -> Row:
    return Row(
        name,
        statistics.median(plain) if plain else None,
        statistics.median(tracked),
        min(tracked),
        goal,
    )


if __name__ == "__main__":
    main()
