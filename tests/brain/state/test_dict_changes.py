"""Every change of a dict does what it does to a plain one; it is recorded, followed, undone."""

from typing import Any

import pytest

from osupervisor.brain.journal import Undo
from osupervisor.brain.state import StateTree
from tests.brain.state.both import Act, both

STATE: dict[Any, Any] = {
    "a": 1,
    "d": {"x": 1, "y": [1, 2], "z": {"deep": True}},
    3: "three",
    b"k": None,
    "empty": {},
}


def assign(root: Any, *path_and_value: Any) -> Any:
    *path, key, value = path_and_value
    for step in path:
        root = root[step]
    root[key] = value


def each(*results: Any) -> None:
    """Runs several changes in one lambda."""


def in_place_or(root: Any, other: Any) -> Any:
    inner = root["d"]
    inner |= other
    assert inner is root["d"]
    return inner


def delete(root: Any, *path: Any) -> Any:
    *above, key = path
    for step in above:
        root = root[step]
    del root[key]


CHANGES: dict[str, Act] = {
    "set an old key": lambda r: assign(r, "a", 2),
    "set a new key": lambda r: assign(r, "new", 2),
    "set an int key": lambda r: assign(r, 3, "drei"),
    "set a bytes key": lambda r: assign(r, b"new", b"\xff"),
    "set a nested key": lambda r: assign(r, "d", "z", "deep", False),
    "set to a dict": lambda r: assign(r, "d", {"new": [1, {"n": 2}]}),
    "set to a tuple": lambda r: assign(r, "a", (1, (2, {"t": ()}))),
    "set to an empty list": lambda r: assign(r, "a", []),
    "replace a container by a scalar": lambda r: assign(r, "d", None),
    "delete the first": lambda r: delete(r, "a"),
    "delete in the middle": lambda r: delete(r, "d"),
    "delete the last": lambda r: delete(r, "empty"),
    "delete what is missing": lambda r: delete(r, "missing"),
    "delete an unhashable key": lambda r: delete(r, []),
    "delete and set again": lambda r: each(delete(r, "a"), assign(r, "a", 9)),
    "pop": lambda r: r.pop("a"),
    "pop a container": lambda r: r["d"].pop("y"),
    "pop what is missing": lambda r: r.pop("missing"),
    "pop what is missing, with a default": lambda r: r.pop("missing", 7),
    "pop with too many defaults": lambda r: r.pop("a", 1, 2),
    "popitem": lambda r: r.popitem(),
    "popitem until empty": lambda r: [r.popitem() for _ in range(5)],
    "popitem of an empty one": lambda r: r["empty"].popitem(),
    "clear": lambda r: r.clear(),
    "clear a nested one": lambda r: r["d"].clear(),
    "clear an empty one": lambda r: r["empty"].clear(),
    "clear and fill": lambda r: each(r["d"].clear(), r["d"].update(z=1, x=2)),
    "setdefault, there": lambda r: r.setdefault("a", 5),
    "setdefault, missing": lambda r: r.setdefault("new", [1]),
    "setdefault without a value": lambda r: r.setdefault("new"),
    "update from a dict": lambda r: r.update({"a": 2, "new": {"n": []}, 3: 4}),
    "update from pairs": lambda r: r.update([("a", 2), ("new", 3), ("a", 4)]),
    "update from a generator": lambda r: r.update((key, 1) for key in "ab"),
    "update by keywords": lambda r: r.update(a=5, new=6),
    "update by any keyword": lambda r: r.update(self=1, args=2, kwargs=3, key=4, changes=5),
    "update from both, by any keyword": lambda r: r.update({"a": 2}, self={"b": [1]}),
    "a dict of its class, by any keyword": lambda r: assign(r, "a", type(r)(self=1, cls=2)),
    "update from both": lambda r: r.update({"a": 2}, a=3, b=4),
    "update from something with keys": lambda r: r.update(Shelf()),
    "update from itself": lambda r: r.update(r),
    "update with one key": lambda r: r.update({"a": {"b": 1}}),
    "update with nothing": lambda r: r.update(),
    "update with an empty dict": lambda r: r.update({}),
    "update from a number": lambda r: r.update(3),
    "update from bad pairs": lambda r: r.update([(1, 2, 3)]),
    "update from two": lambda r: r.update({}, {}),
    "|=": lambda r: in_place_or(r, {"x": 2, "w": [3]}),
    "|= pairs": lambda r: in_place_or(r, [("x", 2)]),
    "+= on a key": lambda r: assign(r, "a", r["a"] + 1),
    "move from one key to another": lambda r: assign(r, "moved", r.pop("d")),
    "take out, change and put back": lambda r: taken_and_put_back(r),
    "move into a sibling": lambda r: assign(r, "empty", "inner", r["d"].pop("z")),
    "swap": lambda r: swap(r, "d", "empty"),
    "change the moved": lambda r: each(assign(r, "m", r.pop("d")), assign(r, "m", "z", "deep", 0)),
}


class Shelf:
    """Not a dict; `update` takes it for its `keys`."""

    def keys(self) -> list[str]:
        return ["a", "s"]

    def __getitem__(self, key: str) -> str:
        return key * 2


def taken_and_put_back(root: Any) -> None:
    taken = root.pop("d")
    taken["y"].append(3)
    taken["new"] = {"n": 1}
    del taken["x"]
    root["back"] = taken
    root["back"]["y"].append(4)


def swap(root: Any, a: Any, b: Any) -> None:
    root[a], root[b] = root[b], root[a]


@pytest.mark.parametrize("name", CHANGES)
def test_change_is_that_of_a_plain_dict(name: str) -> None:
    both(STATE, CHANGES[name])


RECORDED: list[tuple[str, list[Any]]] = [
    ("set a new key", [[1, ["state", "new"], 2]]),
    ("delete in the middle", [[2, ["state", "d"]]]),
    ("clear a nested one", [[3, ["state", "d"]]]),
    ("clear an empty one", []),
    ("update from a dict", [[4, ["state"], {"a": 2, "new": {"n": []}, 3: 4}]]),
    ("update with one key", [[1, ["state", "a"], {"b": 1}]]),
    ("update with nothing", []),
    ("setdefault, there", []),
    ("pop what is missing, with a default", []),
    ("delete what is missing", []),
]


@pytest.mark.parametrize(("name", "wanted"), RECORDED)
def test_what_is_recorded(name: str, wanted: list[Any]) -> None:
    assert both(STATE, CHANGES[name]) == wanted


def test_setting_a_container_to_itself_records_nothing() -> None:
    def act(root: Any) -> None:
        root["d"]["y"] += [3]
        root["d"] = root["d"]

    assert both(STATE, act) == [[6, ["state", "d", "y"], [3]]]


def test_moved_container_stays_the_same_object() -> None:
    tree = StateTree(STATE)
    inner = tree.root["d"]
    tree.begin()
    tree.root["moved"] = tree.root.pop("d")
    tree.finish()
    assert tree.root["moved"] is inner


def test_container_that_stands_in_the_tree_is_copied() -> None:
    tree = StateTree(STATE)
    tree.begin()
    tree.root["copy"] = tree.root["d"]
    tree.root["copy"]["x"] = 2
    tree.finish()
    assert tree.root["copy"] is not tree.root["d"]
    assert tree.root["d"]["x"] == 1


def test_deleted_keys_come_back_in_their_places_in_a_large_dict() -> None:
    keys = [f"k{number}" for number in range(1_000)]
    tree = StateTree({"table": dict.fromkeys(keys, 0)})
    table = tree.root["table"]
    undos: list[Undo] = []
    for number in range(600):
        tree.begin()
        del table[keys[(number * 7) % 1_000]]
        table[f"new{number}"] = number
        if number % 3 == 0:
            table[keys[(number * 7) % 1_000]] = "again"
        undos.append(tree.finish()[1])
    for undo in reversed(undos[300:]):
        tree.rollback(undo)
    tree.rollback_all(list(reversed(undos[:300])))
    assert list(table) == keys
    assert set(table.values()) == {0}


def test_deletions_go_on_after_a_rollback_and_after_following() -> None:
    tree = StateTree({"table": {f"k{number}": number for number in range(200)}})
    follower = StateTree(*tree.plain())
    table = tree.root["table"]
    for number in range(150):
        tree.begin()
        del table[f"k{number}"]
        ops, undo = tree.finish()
        before = list(table)
        if number % 2:
            tree.rollback(undo)
            tree.apply(ops)
        follower.apply(ops)
        assert list(table) == list(follower.root["table"]) == before
