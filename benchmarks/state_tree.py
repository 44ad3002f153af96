"""What a tracked change costs beside a plain one: `python benchmarks/state_tree.py [--json]`.

CPU time in ns: the median of the runs, and the best of them, which other work on the machine
disturbs least. A tracked change includes its record: begin, 100 changes, finish, divided by 100.
The garbage collector is set as in a brain: what stands is frozen. Takes a few seconds.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from osupervisor.brain.state import StateTree

RUNS = 15
CHANGES = 100
REQUESTS = 2_000
LOAD_KEYS = 1_000_000
KEYS = 100_000
VALUE = "v" * 100
FIELDS = [f"k{number}" for number in range(CHANGES)]

Act = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, in ns. `goal` is what was measured in a prototype, on another day."""

    name: str
    plain: float | None
    tracked: float
    best: float
    goal: float | None = None

    @property
    def ratio(self) -> float | None:
        return round(self.tracked / self.plain, 2) if self.plain else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON map")
    as_json = parser.parse_args().json
    load, started = os.getloadavg()[0], time.perf_counter()
    rows = [*changes(), *reads(), *requests(), *single_requests(), *loads()]
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "seconds": round(time.perf_counter() - started, 1),
    }
    if as_json:
        found = [asdict(row) | {"ratio": row.ratio} for row in rows]
        json.dump({"machine": machine, "unit": "ns", "rows": found}, sys.stdout, indent=1)
        print()
    else:
        print_table(rows, machine)


def print_table(rows: list[Row], machine: dict[str, Any]) -> None:
    print(f"{'ns':46}{'plain':>12}{'tracked':>12}{'best':>12}{'ratio':>8}{'goal':>9}")
    for row in rows:
        cells = [row.plain, row.tracked, row.best]
        numbers = "".join(f"{'' if n is None else f'{n:,.0f}':>12}" for n in cells)
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
        goal = "" if row.goal is None else f"{row.goal:,.0f}"
        print(f"{row.name:46}{numbers}{ratio:>8}{goal:>9}")
    print(", ".join(f"{key} {value}" for key, value in machine.items()))


def set_top(root: Any) -> None:
    for key in FIELDS:
        root[key] = 7


def set_new(root: Any) -> None:
    for key in FIELDS:
        root[key] = VALUE


def set_deep(root: Any) -> None:
    inner = root["a"]["b"]
    for key in FIELDS:
        inner[key] = 7


def set_in_list(root: Any) -> None:
    for row in root["rows"]:
        row["n"] = 7


def append_top(root: Any) -> None:
    items = root["items"]
    for key in FIELDS:
        items.append(key)


def append_deep(root: Any) -> None:
    items = root["a"]["b"]["items"]
    for key in FIELDS:
        items.append(key)


def store(root: Any) -> None:
    for key in FIELDS:
        root[key] = {"name": key, "size": 3, "open": True}


def delete(root: Any) -> None:
    table = root["table"]
    for key in FIELDS:
        del table[key]


def take_from_queue(root: Any) -> None:
    jobs = root["jobs"]
    for _ in FIELDS:
        jobs.pop(0)


def count(root: Any) -> None:
    hot = root["hot"]
    for _ in FIELDS:
        hot["placed"] += 1


def changes() -> Iterator[Row]:
    """One kind of change, 100 to a request."""
    small = dict.fromkeys(FIELDS, 1)
    yield change("set, top", small, set_top, 590)
    yield change("set, top, a new key", {}, set_new)
    yield change("set, depth 3", {"a": {"b": small}}, set_deep, 745)
    yield change("set in 100 dicts of a list", {"rows": [{"n": 1} for _ in FIELDS]}, set_in_list)
    yield change("append, depth 1", {"items": []}, append_top, 465)
    yield change("append, depth 3", {"a": {"b": {"items": []}}}, append_deep, 620)
    yield change("store a small dict", {}, store, 2_150)
    yield change("delete, from 100 keys", {"table": small}, delete)
    jobs = [{"n": 1, "to": "x"} for _ in FIELDS]
    yield change("pop(0) of a small dict", {"jobs": jobs}, take_from_queue)
    yield change("hot counter + 1", {}, count)


def change(name: str, state: dict[str, Any], act: Act, goal: float | None = None) -> Row:
    plain: list[float] = []
    tracked: list[float] = []
    for _ in range(RUNS):
        tree = StateTree(state, {"placed": 1})
        fresh, hot = tree.plain()
        fresh["hot"] = hot
        plain.append(timed(partial(act, fresh)) / CHANGES)
        tracked.append(timed(partial(run_request, tree, act)) / CHANGES)
    return row(name, plain, tracked, goal)


def run_request(tree: StateTree, act: Act) -> None:
    tree.begin()
    act({"hot": tree.hot} if act is count else tree.root)
    tree.finish()


def reads() -> Iterator[Row]:
    """Reading, which is the C code of dict and list."""
    state = {"a": {"b": {"c": 1}}, "rows": [{"n": number} for number in range(1_000)]}
    tree = StateTree(state)
    for name, act, divisor, goal in (
        ("nested get", get_nested, 1_000, 51),
        ("iterate 1,000 children", iterate, 1, 21_000),
    ):
        plain = [timed(partial(act, state)) / divisor for _ in range(RUNS)]
        tracked = [timed(partial(act, tree.root)) / divisor for _ in range(RUNS)]
        yield row(name, plain, tracked, goal)


def get_nested(root: Any) -> None:
    for _ in range(1_000):
        root["a"]["b"]["c"]


def iterate(root: Any) -> None:
    for entry in root["rows"]:
        entry["n"]


def requests() -> Iterator[Row]:
    """A request of five changes on 100,000 keys: executed, followed, rehearsed."""
    primary, follower, shadow = (StateTree(large(KEYS)) for _ in range(3))
    plain, _ = primary.plain()
    found: dict[str, list[float]] = {"plain": [], "own": [], "follow": [], "undo": [], "keep": []}
    for run in range(RUNS):
        numbers = range(run * REQUESTS, (run + 1) * REQUESTS)
        commits: list[bytes] = []
        for name, act in (
            ("plain", partial(execute_plainly, plain, numbers)),
            ("own", partial(execute, primary, numbers, commits)),
            ("follow", partial(follow, follower, commits)),
            ("keep", partial(rehearse, shadow, numbers, commits, keep=True)),
            ("undo", partial(rehearse, follower, numbers, commits, keep=False)),
        ):
            found[name].append(timed(act) / REQUESTS)
    yield row("request of 5 changes, with its record", found["plain"], found["own"], 4_900)
    yield row("  a follower applies it", found["plain"], found["follow"], 3_500)
    yield row("  rehearsed, undone, applied", found["plain"], found["undo"], 7_700)
    yield row("  rehearsed, kept as it is equal", found["plain"], found["keep"], 4_700)


def execute_plainly(root: Any, numbers: range) -> None:
    for number in numbers:
        change_five(root, number)


def execute(tree: StateTree, numbers: range, commits: list[bytes]) -> None:
    for number in numbers:
        tree.begin()
        change_five(tree.root, number)
        commits.append(tree.finish()[0])


def follow(tree: StateTree, commits: list[bytes]) -> None:
    for ops in commits:
        tree.apply(ops)


def rehearse(tree: StateTree, numbers: range, commits: list[bytes], *, keep: bool) -> None:
    for number, ops in zip(numbers, commits, strict=True):
        tree.begin()
        change_five(tree.root, number)
        own, undo = tree.finish()
        tree.settle(own if keep else b"", undo, ops)


def change_five(root: Any, number: int) -> None:
    user = root["users"][f"u{number % 50_000}"]
    user["visits"] += 1
    user["last"] = number
    root["flat"][f"k{number % 50_000}"] = VALUE
    root["log"].append(number)
    root["stats"]["seen"]["total"] += 1


def large(keys: int) -> dict[str, Any]:
    return {
        "users": {f"u{number}": {"name": "x" * 20, "visits": 0} for number in range(keys // 2)},
        "flat": {f"k{number}": VALUE for number in range(keys // 2)},
        "log": [],
        "stats": {"seen": {"total": 0}},
    }


def single_requests() -> Iterator[Row]:
    """Requests of one change or none, and queries."""
    tree, follower = StateTree({}), StateTree({})
    commits: list[bytes] = []
    set_one_each(tree, commits)
    for name, act, goal in (
        ("a follower applies one set, depth 1, 100 B", partial(follow, follower, commits), 900),
        ("a request that changes nothing", partial(begin_and_finish, tree), None),
        ("a query's context", partial(read_only, tree), None),
    ):
        yield row(name, None, [timed(act) / REQUESTS for _ in range(RUNS)], goal)
    undone: list[float] = []
    for _ in range(RUNS):
        undos = set_one_each(tree, [])
        undone.append(timed(partial(roll_back, tree, undos)) / REQUESTS)
    yield row("roll back a request of one set", None, undone)


def set_one_each(tree: StateTree, commits: list[bytes]) -> list[Any]:
    undos: list[Any] = []
    for number in range(REQUESTS):
        tree.begin()
        tree.root[f"key:{number}"] = VALUE
        ops, undo = tree.finish()
        commits.append(ops)
        undos.append(undo)
    return undos


def begin_and_finish(tree: StateTree) -> None:
    for _ in range(REQUESTS):
        tree.begin()
        tree.finish()


def read_only(tree: StateTree) -> None:
    for _ in range(REQUESTS):
        with tree.read_only():
            pass


def roll_back(tree: StateTree, undos: list[Any]) -> None:
    for undo in reversed(undos):
        tree.rollback(undo)


def loads() -> Iterator[Row]:
    """Filling a tree from a checkpoint's plain dicts, per load; beside it `dict(state)`."""
    flat: dict[str, Any] = {f"key:{number}": VALUE for number in range(LOAD_KEYS)}
    yield load(f"load {LOAD_KEYS:,} flat keys", flat)
    flat.clear()
    nested = {f"key:{number}": {"n": number, "tags": ["a", "b"]} for number in range(KEYS)}
    yield load(f"load {KEYS:,} dicts with a list each", nested)


def load(name: str, state: dict[str, Any]) -> Row:
    plain: list[float] = []
    tracked: list[float] = []
    for _ in range(3):
        plain.append(timed(state.copy))
        tree = StateTree()
        gc.disable()
        tracked.append(timed(partial(tree.load, state, {})))
        gc.enable()
    return row(name, plain, tracked)


def timed(act: Callable[[], object]) -> float:
    """Nanoseconds of CPU that `act` takes."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    start = time.process_time_ns()
    act()
    return float(time.process_time_ns() - start)


def row(
    name: str, plain: list[float] | None, tracked: list[float], goal: float | None = None
) -> Row:
    middle = statistics.median(plain) if plain else None
    return Row(name, middle, statistics.median(tracked), min(tracked), goal)


if __name__ == "__main__":
    main()
