"""Counters and gauges: logged as increments, undone and followed like the state, mirrored."""

from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.brain.errors import StateError
from osupervisor.brain.hot import COUNTER_MAX, COUNTER_MIN, NAMES_MAX
from osupervisor.brain.journal import Undo
from osupervisor.brain.state import StateTree
from osupervisor.bridge import operations
from tests.brain.state.twins import packed


def add(hot: Any, name: str, by: float) -> None:
    hot[name] += by


Act = Callable[[Any], Any]
CHANGES: list[tuple[dict[str, Any], Act, Any, dict[str, Any]]] = [
    ({}, lambda h: add(h, "n", 1), [[11, ["hot", "n"], 1]], {"n": 1}),
    ({"n": 5}, lambda h: add(h, "n", -7), [[11, ["hot", "n"], -7]], {"n": -2}),
    ({"n": 5}, lambda h: h.update(n=9), [[11, ["hot", "n"], 4]], {"n": 9}),
    ({"n": 5}, lambda h: h.update(n=5, m=1), None, {"n": 5, "m": 1}),
    ({}, lambda h: add(h, "g", 0.5), [[1, ["hot", "g"], 0.5]], {"g": 0.5}),
    ({"g": 0.5}, lambda h: add(h, "g", 0.5), [[1, ["hot", "g"], 1.0]], {"g": 1.0}),
    ({"g": 0.5}, lambda h: h.update(g=2), [[1, ["hot", "g"], 2]], {"g": 2}),
    ({"n": 2}, lambda h: h.update(n=0.5), [[1, ["hot", "n"], 0.5]], {"n": 0.5}),
    ({"n": 2}, lambda h: h.pop("n"), [[2, ["hot", "n"]]], {}),
    ({"n": 2}, lambda h: h.clear(), [[3, ["hot"]]], {}),
    ({}, lambda h: h.setdefault("n", 3), [[11, ["hot", "n"], 3]], {"n": 3}),
    (
        {"n": COUNTER_MAX},
        lambda h: h.update(n=COUNTER_MIN),
        [[1, ["hot", "n"], COUNTER_MIN]],
        {"n": COUNTER_MIN},
    ),
    (
        {"n": COUNTER_MIN},
        lambda h: h.update(n=COUNTER_MAX),
        [[11, ["hot", "n"], 2**64 - 1]],
        {"n": COUNTER_MAX},
    ),
]


@pytest.mark.parametrize(("hot", "act", "wanted", "after"), CHANGES)
def test_change_is_recorded_followed_and_undone(
    hot: dict[str, Any], act: Act, wanted: Any, after: dict[str, Any]
) -> None:
    tree, follower = StateTree({}, hot), StateTree({}, hot)
    reference: dict[str, Any] = {"state": {}, "hot": dict(hot)}
    tree.begin()
    act(tree.hot)
    ops, undo = tree.finish()
    if wanted is not None:
        assert operations.unpack(ops) == wanted
    follower.apply(ops)
    operations.apply(reference, operations.unpack(ops))
    for found in (tree.hot, follower.hot, reference["hot"]):
        assert packed({}, found) == packed({}, after)
    tree.rollback(undo)
    assert packed({}, tree.hot) == packed({}, hot)


def test_missing_name_reads_as_0_and_is_not_made() -> None:
    tree = StateTree({}, {})
    assert tree.hot["n"] == 0
    assert tree.hot.get("n") is None
    assert not tree.hot


@pytest.mark.parametrize("value", [True, "1", None, [1], COUNTER_MAX + 1, COUNTER_MIN - 1])
def test_value_that_is_no_number_is_refused(value: Any) -> None:
    tree = StateTree({}, {"n": 1})
    tree.begin()
    for name in ("n", "new"):
        with pytest.raises(StateError, match=rf"hot\['{name}'\]: found"):
            tree.hot[name] = value
    assert tree.finish()[0] == b"\x90"


@pytest.mark.parametrize("name", [1, b"n", None, ("a",), "ü" * 25, "\ud800"])
def test_name_that_the_segment_cant_hold_is_refused(name: Any) -> None:
    tree = StateTree({}, {})
    tree.begin()
    with pytest.raises(StateError, match="hot"):
        tree.hot[name] = 1
    tree.hot["ü" * 24] = 1


def test_number_of_names_is_bounded() -> None:
    tree = StateTree({}, {f"n{number}": 0 for number in range(NAMES_MAX)})
    tree.begin()
    tree.hot["n1"] = 5
    with pytest.raises(StateError, match=f"{NAMES_MAX} names already"):
        tree.hot["more"] = 1


def test_hot_is_not_stored_in_the_state_by_itself() -> None:
    tree = StateTree({}, {"n": 1})
    tree.begin()
    for value in (tree.hot, [tree.hot]):
        with pytest.raises(StateError, match=r"found .*HotTable; .*store dict\(value\)"):
            tree.root["all"] = value
    tree.root["all"] = dict(tree.hot)
    tree.root["copy"] = tree.hot.copy()
    assert tree.finish()[0] != b"\x90"
    assert tree.plain()[0] == {"all": {"n": 1}, "copy": {"n": 1}}


def test_mirror_is_told_the_changed_names_after_the_request_and_after_undo() -> None:
    told: list[set[str]] = []
    tree = StateTree({}, {"a": 1, "b": 2, "c": 3}, mirror=lambda names: told.append(set(names)))
    tree.begin()
    tree.root["x"] = 1
    tree.finish()
    assert told == []
    tree.begin()
    tree.hot["a"] += 1
    tree.hot["new"] = 1.5
    tree.hot.pop("b")
    assert told == []
    _, undo = tree.finish()
    assert told.pop() == {"a", "new", "b"}
    tree.begin()
    tree.hot.clear()
    tree.finish()
    assert told.pop() == {"a", "new", "c"}
    tree.begin()
    tree.hot["z"] = 1
    tree.rollback_open()
    assert told.pop() == {"z"}
    assert tree.hot == {}
    assert undo


def test_mirror_is_told_what_a_rollback_changed() -> None:
    told: list[set[str]] = []
    tree = StateTree({"s": 1}, {"a": 1, "b": 2}, mirror=lambda names: told.append(set(names)))
    acts: list[Act] = [
        lambda t: t.hot.update(a=5),
        lambda t: t.hot.clear(),
        lambda t: t.root.clear(),
    ]
    undos: list[Undo] = []
    for act in acts:
        tree.begin()
        act(tree)
        undos.append(tree.finish()[1])
    told.clear()
    tree.rollback(undos[2])
    assert told == []
    tree.rollback_all([undos[1], undos[0]])
    assert told == [{"a", "b"}]
    assert tree.plain() == ({"s": 1}, {"a": 1, "b": 2})
