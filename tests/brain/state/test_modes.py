"""When the state may be written: in a request; not between requests, not in a query."""

from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.brain.errors import StateError, WriteInQueryError
from osupervisor.brain.state import StateTree
from osupervisor.bridge import operations

STATE: dict[Any, Any] = {"a": {"x": 1}, "l": [1, {"y": 2}], "s": 1}
Write = Callable[[StateTree], Any]
WRITES: dict[str, Write] = {
    "set": lambda t: t.root.__setitem__("s", 2),
    "set a dict": lambda t: t.root.__setitem__("s", {}),
    "delete": lambda t: t.root.__delitem__("s"),
    "pop": lambda t: t.root["a"].pop("x"),
    "popitem": lambda t: t.root["a"].popitem(),
    "clear": lambda t: t.root["a"].clear(),
    "update": lambda t: t.root.update(s=2, t=3),
    "|=": lambda t: t.root.__ior__({"s": 2}),
    "setdefault": lambda t: t.root.setdefault("new", []),
    "append": lambda t: t.root["l"].append(1),
    "insert": lambda t: t.root["l"].insert(0, 1),
    "set an item": lambda t: t.root["l"].__setitem__(0, 2),
    "delete an item": lambda t: t.root["l"].__delitem__(0),
    "pop an item": lambda t: t.root["l"].pop(),
    "remove": lambda t: t.root["l"].remove(1),
    "clear a list": lambda t: t.root["l"].clear(),
    "extend": lambda t: t.root["l"].extend([1]),
    "*=": lambda t: t.root["l"].__imul__(2),
    "slice": lambda t: t.root["l"].__setitem__(slice(0, 1), []),
    "delete a slice": lambda t: t.root["l"].__delitem__(slice(0, 1)),
    "reverse": lambda t: t.root["l"].reverse(),
    "sort": lambda t: t.root["l"].sort(key=str, reverse=True),
    "nested": lambda t: t.root["l"][1].__setitem__("y", 3),
    "count": lambda t: t.hot.__setitem__("served", t.hot["served"] + 1),
    "gauge": lambda t: t.hot.__setitem__("load", 0.5),
    "forget a counter": lambda t: t.hot.pop("served"),
    "clear the counters": lambda t: t.hot.clear(),
}


@pytest.mark.parametrize("write", WRITES)
def test_write_between_requests_is_refused(write: str) -> None:
    tree = StateTree(STATE, {"served": 1})
    for _ in range(2):
        with pytest.raises(StateError, match="written outside of a request") as caught:
            WRITES[write](tree)
        assert not isinstance(caught.value, WriteInQueryError)
        assert caught.value.path[0] in ("state", "hot")
        assert tree.plain() == (STATE, {"served": 1})
        tree.begin()
        tree.finish()


@pytest.mark.parametrize("write", WRITES)
def test_write_in_a_query_is_refused(write: str) -> None:
    tree = StateTree(STATE, {"served": 1})
    with tree.read_only(), pytest.raises(WriteInQueryError, match="@op instead of @query"):
        WRITES[write](tree)
    assert tree.plain() == (STATE, {"served": 1})


def test_the_path_of_a_refused_write_is_told() -> None:
    tree = StateTree(STATE)
    with tree.read_only(), pytest.raises(WriteInQueryError) as caught:
        tree.root["l"][1]["y"] = 3
    assert caught.value.path == ("state", "l", 1, "y")


def test_query_may_call_what_changes_nothing() -> None:
    tree = StateTree(STATE)
    with tree.read_only():
        assert tree.root.setdefault("s", 9) == 1
        assert tree.root.pop("missing", None) is None
        tree.root.update()
        tree.root["l"].extend([])
        assert sorted(tree.root["l"], key=str)[0] == 1


def test_query_that_raises_leaves_the_tree_writable() -> None:
    tree = StateTree(STATE)
    with pytest.raises(ZeroDivisionError), tree.read_only():
        raise ZeroDivisionError
    tree.begin()
    tree.root["s"] = 2
    tree.finish()


def test_modes_are_not_mixed() -> None:
    tree = StateTree(STATE)
    tree.begin()
    with pytest.raises(AssertionError):
        tree.begin()
    with pytest.raises(AssertionError), tree.read_only():
        pass
    with pytest.raises(AssertionError):
        tree.rollback([])
    with pytest.raises(AssertionError):
        tree.apply(operations.pack([[1, ["state", "s"], 5]]))
    tree.finish()
    with tree.read_only(), pytest.raises(AssertionError):
        tree.begin()


def test_request_that_changes_nothing_has_no_operations() -> None:
    tree = StateTree(STATE)
    tree.begin()
    ops, undo = tree.finish()
    assert ops == b"\x90"
    tree.rollback(undo)
    tree.rollback_open()
    assert tree.plain() == (STATE, {})


def test_rollback_open_without_a_request_does_nothing() -> None:
    tree = StateTree(STATE)
    tree.rollback_open()
    assert tree.plain() == (STATE, {})


def test_rehearsal_that_is_equal_is_kept_and_another_is_replaced() -> None:
    tree, primary = StateTree(STATE), StateTree(STATE)
    for value, kept in ((5, True), (6, False)):
        primary.begin()
        primary.root["a"]["x"] = 5
        committed, _ = primary.finish()
        tree.begin()
        tree.root["a"]["x"] = value
        own, undo = tree.finish()
        assert tree.settle(own, undo, committed) is kept
        assert tree.plain() == primary.plain()


def test_commit_of_more_operations_than_fit_a_short_array() -> None:
    for count in (15, 16, 65_535, 65_536):
        tree, follower = StateTree({"n": 0}), StateTree({"n": 0})
        tree.begin()
        for number in range(count):
            tree.root["n"] = number
        ops, _ = tree.finish()
        follower.apply(ops)
        assert len(operations.unpack(ops)) == count
        assert follower.plain() == tree.plain()
