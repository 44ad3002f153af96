"""Every change of a list does what it does to a plain one; it is recorded, followed, undone."""

import bisect
from random import Random
from typing import Any

import pytest

from osupervisor.brain.state import StateTree
from tests.brain.state.actions import size_of
from tests.brain.state.both import Act, both

STATE: dict[Any, Any] = {
    "l": [3, 1, 2, {"n": 1}, [7, 8], "text", 1],
    "n": [5, 3, 9, 1],
    "e": [],
    "jobs": [{"n": number} for number in range(8)],
}


class Index:
    """Usable as an index, but no int."""

    def __index__(self) -> int:
        return 2


def assign(items: Any, where: Any, value: Any) -> None:
    items[where] = value


def delete(items: Any, where: Any) -> None:
    del items[where]


def add(root: Any, name: str, values: Any) -> Any:
    items = root[name]
    items += values
    assert items is root[name]
    return items


def multiply(root: Any, name: str, count: Any) -> Any:
    items = root[name]
    items *= count
    assert items is root[name]
    return items


def change_last_job(root: Any) -> None:
    """Paths after other items have moved."""
    job = root["jobs"][5]
    root["jobs"].pop(0)
    job["state"] = "second"
    root["jobs"].insert(0, {"n": -1})
    root["jobs"].insert(0, {"n": -2})
    job["more"] = [1]
    job["more"].append(2)
    root["jobs"].reverse()
    job["more"][0] = "reversed"
    del root["jobs"][3:5]
    job["state"] = "third"


CHANGES: dict[str, Act] = {
    "append": lambda r: r["l"].append(4),
    "append a container": lambda r: r["l"].append({"a": [1]}),
    "append and change it": lambda r: (r["e"].append([]), r["e"][0].append(1)),
    "insert at the front": lambda r: r["l"].insert(0, {"f": 1}),
    "insert in the middle": lambda r: r["l"].insert(3, "m"),
    "insert at the end": lambda r: r["l"].insert(7, "e"),
    "insert beyond the end": lambda r: r["l"].insert(99, "e"),
    "insert before the end": lambda r: r["l"].insert(-1, "b"),
    "insert before the front": lambda r: r["l"].insert(-99, "f"),
    "insert at an index object": lambda r: r["l"].insert(Index(), 0),
    "insert at a text": lambda r: r["l"].insert("1", 0),
    "set": lambda r: assign(r["l"], 1, "one"),
    "set from the end": lambda r: assign(r["l"], -1, [1]),
    "set out of range": lambda r: assign(r["l"], 7, 0),
    "set out of range below": lambda r: assign(r["l"], -8, 0),
    "set at an index object": lambda r: assign(r["l"], Index(), {"i": 2}),
    "set at True": lambda r: assign(r["l"], True, 0),
    "set at a text": lambda r: assign(r["l"], "1", 0),
    "set in an empty one": lambda r: assign(r["e"], 0, 0),
    "delete": lambda r: delete(r["l"], 3),
    "delete from the end": lambda r: delete(r["l"], -1),
    "delete out of range": lambda r: delete(r["l"], 7),
    "delete at a text": lambda r: delete(r["l"], "x"),
    "pop": lambda r: r["l"].pop(),
    "pop the first": lambda r: r["l"].pop(0),
    "pop a container": lambda r: r["l"].pop(-4),
    "pop at an index object": lambda r: r["l"].pop(Index()),
    "pop out of range": lambda r: r["l"].pop(7),
    "pop of an empty one": lambda r: r["e"].pop(),
    "remove": lambda r: r["l"].remove(1),
    "remove a container": lambda r: r["l"].remove([7, 8]),
    "remove what is missing": lambda r: r["l"].remove(99),
    "clear": lambda r: r["l"].clear(),
    "clear an empty one": lambda r: r["e"].clear(),
    "extend": lambda r: r["l"].extend([1, {"x": 1}]),
    "extend an empty one": lambda r: r["e"].extend((1, 2)),
    "extend by a generator": lambda r: r["l"].extend(n * n for n in range(3)),
    "extend by a text": lambda r: r["l"].extend("ab"),
    "extend by nothing": lambda r: r["l"].extend([]),
    "extend by itself": lambda r: r["l"].extend(r["l"]),
    "extend by a number": lambda r: r["l"].extend(3),
    "+=": lambda r: add(r, "l", [1, [2]]),
    "+= tuple": lambda r: add(r, "l", (1, (2,))),
    "+= itself": lambda r: add(r, "n", r["n"]),
    "+= on the dict": lambda r: assign(r, "n", add(r, "n", [1])),
    "*= 3": lambda r: multiply(r, "l", 3),
    "*= 1": lambda r: multiply(r, "l", 1),
    "*= 0": lambda r: multiply(r, "l", 0),
    "*= -1": lambda r: multiply(r, "n", -1),
    "*= an index object": lambda r: multiply(r, "n", Index()),
    "*= True": lambda r: multiply(r, "n", True),
    "*= a text": lambda r: multiply(r, "n", "2"),
    "reverse": lambda r: r["l"].reverse(),
    "reverse an empty one": lambda r: r["e"].reverse(),
    "sort": lambda r: r["n"].sort(),
    "sort downwards": lambda r: r["n"].sort(reverse=True),
    "sort downwards, said by a number": lambda r: r["n"].sort(reverse=1),
    "sort by a key": lambda r: r["l"].sort(key=size_of),
    "sort by a key downwards": lambda r: r["l"].sort(key=size_of, reverse=True),
    "sort containers": lambda r: r["jobs"].sort(key=id_of),
    "set a slice": lambda r: assign(r["l"], slice(1, 3), ["a", ["b"], "c"]),
    "set a slice to fewer": lambda r: assign(r["l"], slice(1, 6), []),
    "set a slice at the end": lambda r: assign(r["l"], slice(7, 9), [1, 2]),
    "set a slice at the front": lambda r: assign(r["l"], slice(0, 0), [{"f": 1}]),
    "set a slice backwards": lambda r: assign(r["l"], slice(5, 2), ["x"]),
    "set a slice to a generator": lambda r: assign(r["l"], slice(2), (n for n in "xyz")),
    "set a slice to a number": lambda r: assign(r["l"], slice(1, 2), 5),
    "set an extended slice to a number": lambda r: assign(r["l"], slice(0, 4, 2), 5),
    "set everything": lambda r: assign(r["l"], slice(None), [1, {"a": 1}]),
    "set everything to itself": lambda r: assign(r["l"], slice(None), r["l"]),
    "set a slice to itself": lambda r: assign(r["n"], slice(1, 2), r["n"]),
    "keep some": lambda r: assign(r["jobs"], slice(None), [j for j in r["jobs"] if j["n"] % 3]),
    "sorted into place": lambda r: assign(r["jobs"], slice(None), sorted(r["jobs"], key=id_of)),
    "rotate": lambda r: assign(r["jobs"], slice(None), r["jobs"][3:] + r["jobs"][:3]),
    "double within": lambda r: assign(r["jobs"], slice(0, 2), r["jobs"][:2] * 2),
    "set an extended slice": lambda r: assign(r["l"], slice(None, None, 2), [1, [2], 3, 4]),
    "set an extended slice backwards": lambda r: assign(r["l"], slice(None, None, -3), "abc"),
    "set an extended slice to the wrong size": lambda r: assign(r["l"], slice(0, 6, 2), [1]),
    "set an empty extended slice": lambda r: assign(r["l"], slice(5, 2, 2), []),
    "reverse by slice": lambda r: assign(r["jobs"], slice(None, None, -1), list(r["jobs"])),
    "delete a slice": lambda r: delete(r["l"], slice(1, 4)),
    "delete an empty slice": lambda r: delete(r["l"], slice(4, 1)),
    "delete everything": lambda r: delete(r["l"], slice(None)),
    "delete an extended slice": lambda r: delete(r["l"], slice(None, None, 2)),
    "delete an extended slice backwards": lambda r: delete(r["l"], slice(None, None, -2)),
    "delete backwards": lambda r: delete(r["l"], slice(5, 1, -1)),
    "delete one by an extended slice": lambda r: delete(r["l"], slice(3, 4, 5)),
    "delete with step 0": lambda r: delete(r["l"], slice(None, None, 0)),
    "bisect.insort": lambda r: [bisect.insort(r["e"], n) for n in (5, 1, 3, 3, 9)],
    "random.shuffle": lambda r: Random(3).shuffle(r["jobs"]),
    "swap": lambda r: swap(r["l"], 3, 4),
    "swap with itself": lambda r: swap(r["l"], 3, 3),
    "move to another list": lambda r: r["e"].append(r["jobs"].pop(3)),
    "move to the end": lambda r: [r["jobs"].append(r["jobs"].pop(0)) for _ in range(11)],
    "change after others moved": change_last_job,
    "take out, change, put back": lambda r: taken_and_put_back(r["jobs"]),
}


def id_of(job: Any) -> int:
    return int(job["n"]) * 5 % 8


def swap(items: Any, i: int, j: int) -> None:
    items[i], items[j] = items[j], items[i]


def taken_and_put_back(jobs: Any) -> None:
    job = jobs.pop(2)
    job["tries"] = 1
    job.update(a=1, b=[2])
    job["b"].insert(0, 1)
    jobs.insert(4, job)
    jobs[4]["tries"] += 1


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_that_of_a_plain_list(name: str) -> None:
    both(STATE, CHANGES[name])


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("append", [[5, ["state", "l"], 4]]),
        ("insert beyond the end", [[7, ["state", "l", 7], "e"]]),
        ("set from the end", [[1, ["state", "l", 6], [1]]]),
        ("set at True", [[1, ["state", "l", 1], 0]]),
        ("pop", [[2, ["state", "l", 6]]]),
        ("clear", [[3, ["state", "l"]]]),
        ("extend an empty one", [[6, ["state", "e"], [1, 2]]]),
        ("extend by nothing", []),
        ("*= 1", []),
        ("reverse", [[9, ["state", "l"]]]),
        ("sort", [[10, ["state", "n"], [3, 1, 0, 2]]]),
        ("set a slice", [[8, ["state", "l"], 1, 3, ["a", ["b"], "c"]]]),
        ("delete a slice", [[8, ["state", "l"], 1, 4, []]]),
        ("delete an extended slice", [[8, ["state", "l"], 0, 7, [1, {"n": 1}, "text"]]]),
        ("swap with itself", []),
    ],
)
def test_what_is_recorded(name: str, wanted: list[Any]) -> None:
    assert both(STATE, CHANGES[name]) == wanted


def test_sorting_what_is_sorted_records_nothing() -> None:
    assert both({"n": [1, 2, 2, 3]}, lambda root: root["n"].sort()) == []


def test_sort_of_what_cant_be_compared_changes_nothing() -> None:
    tree = StateTree(STATE)
    tree.begin()
    with pytest.raises(TypeError, match="not supported between"):
        tree.root["l"].sort()
    assert tree.finish()[0] == b"\x90"
    assert tree.plain() == (STATE, {})


def test_sort_refuses_a_list_that_its_key_changes() -> None:
    tree = StateTree({"n": [3, 1, 2]})

    def append_and_return(item: int) -> int:
        tree.root["n"].append(item)
        return item

    tree.begin()
    with pytest.raises(ValueError, match="list modified during sort"):
        tree.root["n"].sort(key=append_and_return)


@pytest.mark.parametrize("name", ["sort containers", "keep some", "rotate", "reverse by slice"])
def test_items_that_stay_are_the_same_objects(name: str) -> None:
    tree = StateTree(STATE)
    jobs = {job["n"]: job for job in tree.root["jobs"]}
    tree.begin()
    CHANGES[name](tree.root)
    tree.finish()
    assert tree.root["jobs"]
    assert all(job is jobs[job["n"]] for job in tree.root["jobs"])


def test_items_of_a_queue_are_found_at_their_places() -> None:
    """Jobs go in at the end and out at the front, and are changed when they are at the front."""
    tree, follower = StateTree({"queue": []}), StateTree({"queue": []})
    for number in range(500):
        tree.begin()
        tree.root["queue"].append({"n": number})
        if number > 100:
            tree.root["queue"][0]["state"] = "running"
            tree.root["queue"].pop(0)
            tree.root["queue"][-1]["seen"] = True
        follower.apply(tree.finish()[0])
    assert tree.plain() == follower.plain()
