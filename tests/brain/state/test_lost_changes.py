"""Changes that would be lost without a word are errors at the end of the request, with a path."""

from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.brain.errors import StateError
from osupervisor.brain.state import StateTree
from tests.brain.state.twins import packed

STATE: dict[Any, Any] = {
    "a": {"x": 1, "in": {"y": 2}},
    "l": [{"n": 1}, {"n": 2}, [3]],
    "e": {},
}


def name_of(act: Callable[[Any], None]) -> str:
    return act.__name__


def stored_then_changed(root: Any) -> None:
    record: dict[str, Any] = {}
    root["new"] = record
    record["late"] = 1


def appended_then_changed(root: Any) -> None:
    item = [1]
    root["l"].append(item)
    item.append(2)


def inserted_then_changed(root: Any) -> None:
    item = [1]
    root["l"].insert(0, item)
    item[0] = 2


def set_then_changed(root: Any) -> None:
    item = {"a": 1, "b": 2}
    root["l"][0] = item
    item["a"] = item.pop("a")


def extended_then_changed(root: Any) -> None:
    items: list[Any] = [1, {"a": 1}]
    root["l"].extend(items)
    items[1]["a"] = 2


def sliced_then_changed(root: Any) -> None:
    item: list[int] = []
    root["l"][1:2] = [0, item]
    item.append(1)


def updated_then_changed(root: Any) -> None:
    inner: list[int] = []
    root.update(u=inner, v=2)
    inner.append(1)


def default_then_changed(root: Any) -> None:
    default: list[int] = []
    assert root.setdefault("d", default) is not default
    default.append(1)


def inside_changed(root: Any) -> None:
    inner: list[int] = []
    root["new"] = {"tuple": (1, [inner])}
    inner.append(1)


def twice_then_changed(root: Any) -> None:
    root["twice"] = root["a"]
    root["a"]["x"] = 2


def taken_then_changed(root: Any) -> None:
    root.pop("a")["x"] = 2


def taken_inside_changed(root: Any) -> None:
    root.pop("a")["in"]["y"] = 3


def item_taken_then_changed(root: Any) -> None:
    del root["l"][0]
    root["l"].pop(1).append(4)


def replaced_then_changed(root: Any) -> None:
    old = root["a"]
    root["a"] = 0
    old.clear()


def cleared_then_changed(root: Any) -> None:
    inner = root["a"]["in"]
    root["a"].clear()
    inner["y"] = 3


def sliced_out_then_changed(root: Any) -> None:
    item = root["l"][1]
    root["l"][:] = []
    item["n"] = 9


def put_back_then_taken_and_changed(root: Any) -> None:
    taken = root.pop("a")
    taken["x"] = 5
    root["e"]["back"] = taken
    root["e"].pop("back")["x"] = 6


def wrapped_then_changed(root: Any) -> None:
    taken = root.pop("a")
    root["e"]["wrapped"] = {"a": taken}
    taken["x"] = 3


LOST: dict[Callable[[Any], None], str] = {
    stored_then_changed: "state['new']: what was stored here was changed",
    appended_then_changed: "state['l'][3]: what was stored here was changed",
    inserted_then_changed: "state['l'][0]: what was stored here was changed",
    set_then_changed: "state['l'][0]: what was stored here was changed",
    extended_then_changed: "state['l'][4]: what was stored here was changed",
    sliced_then_changed: "state['l'][2]: what was stored here was changed",
    updated_then_changed: "state['u']: what was stored here was changed",
    default_then_changed: "state['d']: what was stored here was changed",
    inside_changed: "state['new']: what was stored here was changed",
    twice_then_changed: "state['twice']: what was stored here was changed",
    taken_then_changed: "state['a']: a container that was taken out",
    taken_inside_changed: "state['a']: a container that was taken out",
    item_taken_then_changed: "state['l'][1]: a container that was taken out",
    replaced_then_changed: "state['a']: a container that was taken out",
    cleared_then_changed: "state['a']['in']: a container that was taken out",
    sliced_out_then_changed: "state['l'][1]: a container that was taken out",
    put_back_then_taken_and_changed: "state['e']['back']: a container that was taken out",
    wrapped_then_changed: "state['e']['wrapped']: what was stored here was changed",
}


@pytest.mark.parametrize("act", LOST, ids=name_of)
def test_lost_change_is_refused_at_the_end_and_undone(act: Callable[[Any], None]) -> None:
    tree = StateTree(STATE)
    before = packed(tree.root, tree.hot)
    tree.begin()
    act(tree.root)
    with pytest.raises(StateError) as caught:
        tree.finish()
    assert str(caught.value).startswith(LOST[act])
    tree.rollback_open()
    assert packed(tree.root, tree.hot) == before
    tree.begin()
    tree.root["next"] = 1
    assert tree.finish()[0] != b"\x90"


def changed_in_place(root: Any) -> None:
    root["new"] = {}
    root["new"]["late"] = 1


def changed_before(root: Any) -> None:
    record: dict[str, Any] = {}
    record["early"] = 1
    root["new"] = record


def stored_twice(root: Any) -> None:
    record = {"x": 1}
    root["one"] = record
    root["two"] = record
    root["one"]["x"] = 2


def stored_again_after_a_change(root: Any) -> None:
    root["l"].append([1])
    root["l"][3].append(2)


def only_read(root: Any) -> None:
    taken = root.pop("a")
    assert taken["in"]["y"] == 2
    assert sorted(taken) == ["in", "x"]


def wrapped(root: Any) -> None:
    taken = root.pop("a")
    taken["x"] = 5
    root["e"]["wrapped"] = {"a": taken, "when": 1}


def inner_moved_alone(root: Any) -> None:
    taken = root["a"].pop("in")
    taken["y"] = 5
    root["e"]["in"] = taken
    del root["a"]


def put_back_and_deleted(root: Any) -> None:
    taken = root.pop("a")
    taken["x"] = 5
    root["e"]["a"] = taken
    root["e"].clear()


def put_into_another_taken_one(root: Any) -> None:
    outer, inner = root.pop("a"), root["l"].pop(0)
    inner["n"] = 7
    outer["inner"] = inner
    root["both"] = outer


KEPT: list[Callable[[Any], None]] = [
    changed_in_place,
    changed_before,
    stored_twice,
    stored_again_after_a_change,
    only_read,
    wrapped,
    inner_moved_alone,
    put_back_and_deleted,
    put_into_another_taken_one,
]


@pytest.mark.parametrize("act", KEPT, ids=name_of)
def test_change_that_is_not_lost_is_kept(act: Callable[[Any], None]) -> None:
    tree, follower = StateTree(STATE), StateTree(STATE)
    tree.begin()
    act(tree.root)
    ops, undo = tree.finish()
    follower.apply(ops)
    assert packed(follower.root, follower.hot) == packed(tree.root, tree.hot)
    tree.rollback(undo)
    assert tree.plain() == (STATE, {})


def test_container_kept_from_an_earlier_request_is_refused_when_it_is_changed() -> None:
    tree = StateTree(STATE)
    tree.begin()
    kept = tree.root.pop("a")
    tree.finish()
    tree.begin()
    kept["x"] = 9
    with pytest.raises(StateError, match="taken out of the state was changed"):
        tree.finish()
    tree.rollback_open()
    assert kept["x"] == 1


def test_container_replaced_by_a_commit_of_another_process_is_refused_when_it_is_changed() -> None:
    primary, follower = StateTree(STATE), StateTree(STATE)
    kept = follower.root["a"]
    primary.begin()
    primary.root["a"] = {}
    follower.apply(primary.finish()[0])
    follower.begin()
    kept["x"] = 9
    with pytest.raises(StateError, match="taken out of the state was changed"):
        follower.finish()


def test_changes_of_what_was_taken_out_are_undone() -> None:
    tree = StateTree(STATE)
    tree.begin()
    taken = tree.root.pop("a")
    taken["x"] = 5
    taken["in"].clear()
    taken["new"] = [1]
    tree.rollback_open()
    assert tree.root["a"] is taken
    assert tree.plain() == (STATE, {})


def test_container_of_another_tree_is_copied() -> None:
    one, two = StateTree(STATE), StateTree({})
    two.begin()
    two.root["copy"] = one.root["a"]
    two.root["copy"]["x"] = 2
    two.finish()
    assert one.root["a"]["x"] == 1
