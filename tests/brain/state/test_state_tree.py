"""Loading, reading at a path, and undo over many requests."""

from typing import Any

import pytest

from osupervisor.brain.errors import FollowerError, StateError
from osupervisor.brain.journal import ORDERS_MAX, Undo
from osupervisor.brain.state import StateTree
from osupervisor.bridge import operations
from tests.brain.state.twins import assert_sound, packed

STATE: dict[Any, Any] = {"a": {"b": [1, {"c": 2}]}, 5: "five", b"k": [[]], "none": None}


def test_load_replaces_everything_and_keeps_the_roots() -> None:
    tree = StateTree(STATE, {"n": 1})
    root, hot, inner = tree.root, tree.hot, tree.root["a"]
    tree.load({"new": {"x": [(1, 2)]}}, {"m": 2})
    assert tree.root is root
    assert tree.hot is hot
    assert tree.plain() == ({"new": {"x": [[1, 2]]}}, {"m": 2})
    assert_sound(tree)
    tree.load(None, None)
    assert tree.plain() == ({}, {})
    tree.begin()
    inner["x"] = 1
    with pytest.raises(StateError, match="taken out"):
        tree.finish()


def test_load_copies() -> None:
    state: dict[str, Any] = {"a": {"b": [1]}}
    tree = StateTree(state)
    tree.begin()
    tree.root["a"]["b"].append(2)
    tree.root["c"] = 1
    tree.finish()
    assert state == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ([], STATE),
        (["a"], STATE["a"]),
        (["a", "b", 1, "c"], 2),
        (("a", "b", 0), 1),
        ([5], "five"),
        ([b"k", 0], []),
        (["none"], None),
    ],
)
def test_resolve_gives_what_stands_at_a_path(path: Any, wanted: Any) -> None:
    assert StateTree(STATE).resolve(path) == wanted


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (["x"], r"state: nothing under 'x'; a dict of 4 keys: 'a', 5, b'k', 'none'"),
        (["a", "x"], r"state\['a'\]: nothing under 'x'"),
        (["a", "b", 2], r"state\['a'\]\['b'\]: nothing under 2; a list of 2 items"),
        (["a", "b", -1], "nothing under -1"),
        (["a", "b", "0"], "nothing under '0'"),
        (["a", "b", True], "nothing under True"),
        (["a", "b", 0, "x"], r"state\['a'\]\['b'\]\[0\]: nothing under 'x'; found int"),
        (["none", "x"], "found NoneType, which has no members"),
        ([5, 0], "found str"),
        ([5.0], "nothing under 5.0"),
        ([["a"]], "nothing under"),
        ([None], "nothing under None"),
    ],
)
def test_resolve_refuses_a_path_that_leads_nowhere(path: Any, message: str) -> None:
    with pytest.raises(StateError, match=message):
        StateTree(STATE).resolve(path)


def test_requests_are_undone_one_by_one_and_together() -> None:
    tree = StateTree(STATE)
    versions = [packed(tree.root, tree.hot)]
    undos: list[Undo] = []
    for number in range(20):
        tree.begin()
        tree.root[f"k{number % 5}"] = {"n": number}
        tree.root["a"]["b"].insert(0, [number])
        tree.root.pop(5, None)
        tree.hot["n"] += number
        undos.append(tree.finish()[1])
        versions.append(packed(tree.root, tree.hot))
    for number in reversed(range(10, 20)):
        tree.rollback(undos[number])
        assert packed(tree.root, tree.hot) == versions[number]
    tree.rollback_all(undos[9::-1])
    assert packed(tree.root, tree.hot) == versions[0]


def test_failed_request_between_others_leaves_them_undoable() -> None:
    tree = StateTree(STATE)
    before = packed(tree.root, tree.hot)
    tree.begin()
    tree.root["a"]["b"].append(1)
    _, undo = tree.finish()
    tree.begin()
    tree.root["a"]["b"].append(2)
    tree.root.clear()
    tree.rollback_open()
    tree.rollback(undo)
    assert packed(tree.root, tree.hot) == before


def test_orders_of_few_dicts_are_kept() -> None:
    names = [f"t{number}" for number in range(2 * ORDERS_MAX)]
    tree = StateTree({name: {f"k{n}": n for n in range(100)} for name in names})
    before = packed(tree.root, tree.hot)
    tree.begin()
    for name in names:
        del tree.root[name]["k50"]
        tree.root[name]["k50"] = "again"
    _, undo = tree.finish()
    assert len(tree.journal.orders) <= ORDERS_MAX  # pyright: ignore[reportPrivateUsage]
    tree.rollback(undo)
    assert packed(tree.root, tree.hot) == before


@pytest.mark.parametrize(
    "operation",
    [
        [1, ["state", "missing", "x"], 1],
        [2, ["state", "missing"]],
        [5, ["state", "none"], 1],
        [5, ["state"], 1],
        [1, ["elsewhere", "x"], 1],
        [99, ["state"]],
        [1, ["state", "a", "b", 7], 1],
        [1, ["state"]],
    ],
)
def test_operation_that_doesnt_fit_ends_a_follower(operation: Any) -> None:
    tree = StateTree(STATE)
    with pytest.raises(FollowerError, match="can't be applied"):
        tree.apply(operations.pack([operation]))


@pytest.mark.parametrize("ops", [b"", b"\xc1", b"\x91", b"\x01", b"\x91\x01"])
def test_bytes_that_are_no_operations_end_a_follower(ops: bytes) -> None:
    with pytest.raises(FollowerError):
        StateTree(STATE).apply(ops)
