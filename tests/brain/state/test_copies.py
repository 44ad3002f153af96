"""Nodes behave as dicts and lists where they are read, compared, copied and packed."""

import copy
import dataclasses
import json
import pickle
import pprint
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import TypeAdapter

from osupervisor.brain.state import StateTree
from osupervisor.bridge import packing
from tests.brain.state.actions import containers

STATE: dict[Any, Any] = {"d": {"x": 1, "y": {"z": [1, 2]}}, "l": [3, [4], {"k": 5}], "s": "text"}


def assert_plain(value: Any) -> None:
    assert all(type(node) in (dict, list) for node in containers(value))


def test_nodes_are_equal_to_plain_ones() -> None:
    root = StateTree(STATE).root
    assert root == STATE
    assert STATE == root
    assert root == StateTree(STATE).root
    assert root["l"] == [3, [4], {"k": 5}]
    assert root["d"] != {"x": 2}
    assert root["l"] < [3, [5]]
    assert [3] < root["l"]
    assert root["d"].keys() & {"x", "q"} == {"x"}
    assert repr(root) == repr(STATE)
    assert str(root["l"]) == str(STATE["l"])
    with pytest.raises(TypeError):
        hash(root)


def test_nodes_are_dicts_and_lists() -> None:
    root = StateTree(STATE).root
    assert isinstance(root, dict)
    assert isinstance(root["l"], list)
    match root:
        case {"d": {"x": found, **_rest}, "l": [first, *_]}:
            assert (found, first) == (1, 3)
        case _:
            pytest.fail("no match")
    assert list(reversed(root)) == ["s", "l", "d"]
    assert [*root["l"]] == root["l"]
    assert {**root}.keys() == STATE.keys()
    assert len(root["l"]) == 3
    assert root["l"].index([4]) == 1
    assert root["l"].count(3) == 1
    assert "x" in root["d"]


COPIES: list[Callable[[Any], Any]] = [
    lambda r: r["d"].copy(),
    lambda r: copy.copy(r["d"]),
    lambda r: dict(r["d"]),
    lambda r: {**r["d"]},
    lambda r: r["d"] | {"n": 1},
    lambda r: {"n": 1} | r["d"],
    lambda r: type(r["d"])(r["d"]),
    lambda r: type(r["d"])(a=1),
    lambda r: r.fromkeys("ab", 1),
    lambda r: r["l"].copy(),
    lambda r: copy.copy(r["l"]),
    lambda r: r["l"][1:],
    lambda r: r["l"][::-1],
    lambda r: r["l"] + [1],
    lambda r: [1] + r["l"],
    lambda r: r["l"] * 2,
    lambda r: type(r["l"])("ab"),
    lambda r: sorted(r["l"], key=str),
    lambda r: list(r["l"]),
]


@pytest.mark.parametrize("make", COPIES)
def test_shallow_copy_is_plain_and_free(make: Callable[[Any], Any]) -> None:
    tree = StateTree(STATE)
    made = make(tree.root)
    assert type(made) in (dict, list)
    made.clear()
    assert tree.plain() == (STATE, {})


def test_shallow_copy_holds_the_nodes_of_the_state() -> None:
    tree = StateTree(STATE)
    tree.begin()
    copy.copy(tree.root["d"])["y"]["new"] = 1
    tree.root["l"][1:][0].append(5)
    tree.finish()
    assert tree.root["d"]["y"]["new"] == 1
    assert tree.root["l"][1] == [4, 5]


@pytest.mark.parametrize("name", ["d", "l"])
def test_deep_copy_is_plain_all_through(name: str) -> None:
    node = StateTree(STATE).root[name]
    for made in (
        copy.deepcopy(node),
        copy.deepcopy({"inside": [node]})["inside"][0],
        *(pickle.loads(pickle.dumps(node, protocol)) for protocol in range(6)),
        json.loads(json.dumps(node)),
        orjson.loads(orjson.dumps(node)),
        packing.unpack(packing.pack(node)),
    ):
        assert made == STATE[name]
        assert_plain(made)
    assert json.dumps(node) == json.dumps(STATE[name])
    assert pprint.pformat(node) == pprint.pformat(STATE[name])


def test_pydantic_and_dataclasses_take_nodes() -> None:
    @dataclasses.dataclass
    class Holder:
        table: dict[str, Any]

    root = StateTree(STATE).root
    assert TypeAdapter(list[Any]).validate_python(root["l"]) == STATE["l"]
    assert TypeAdapter(dict[str, Any]).dump_python(root["d"]) == STATE["d"]
    assert_plain(dataclasses.asdict(Holder(root["d"])))


def test_nodes_take_no_attributes_and_are_not_made_anew() -> None:
    root: Any = StateTree(STATE).root
    with pytest.raises(AttributeError):
        root.colour = 1
    for node in (root, root["l"]):
        with pytest.raises(TypeError, match="use clear"):
            node.__init__([])
    assert root == STATE


def test_plain_is_a_deep_copy_that_loads_again() -> None:
    tree = StateTree(STATE, {"n": 1, "g": 0.5})
    state, hot = tree.plain()
    assert (state, hot) == (STATE, {"n": 1, "g": 0.5})
    assert_plain(state)
    assert type(hot) is dict
    state["d"].clear()
    assert tree.root == STATE
