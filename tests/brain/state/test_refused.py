"""What the state can't hold is refused where it is written, with its path, and changes nothing."""

import collections
import dataclasses
import datetime
import enum
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from osupervisor.brain.errors import StateError
from osupervisor.brain.state import StateTree
from osupervisor.bridge.operations import DEPTH_MAX

STATE: dict[Any, Any] = {"a": {"b": [1, {"c": 2}]}, "l": [1, 2], "s": 1}


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


class Name(str):
    pass


class Point(NamedTuple):
    x: int


@dataclasses.dataclass
class Record:
    x: int


class Numpy:
    """Looks like one of numpy's scalars."""

    def tolist(self) -> int:
        return 1


Write = Callable[[Any, Any], Any]
WRITES: dict[str, tuple[Write, str]] = {
    "set": (lambda r, v: r.__setitem__("new", v), "state['new']"),
    "set over a container": (lambda r, v: r["a"].__setitem__("b", v), "state['a']['b']"),
    "set an item": (lambda r, v: r["l"].__setitem__(-1, v), "state['l'][1]"),
    "append": (lambda r, v: r["l"].append(v), "state['l'][2]"),
    "insert": (lambda r, v: r["l"].insert(0, v), "state['l'][0]"),
    "extend": (lambda r, v: r["l"].extend([0, v]), "state['l'][3]"),
    "+=": (lambda r, v: r["l"].__iadd__((v,)), "state['l'][2]"),
    "slice": (lambda r, v: r["l"].__setitem__(slice(1, 2), [0, v]), "state['l'][2]"),
    "extended slice": (lambda r, v: r["l"].__setitem__(slice(0, 2, 2), [v]), "state['l'][0]"),
    "update": (lambda r, v: r.update(s=2, t=v), "state['t']"),
    "update one": (lambda r, v: r.update(t=v), "state['t']"),
    "|=": (lambda r, v: r.__ior__({"s": 2, "t": v}), "state['t']"),
    "setdefault": (lambda r, v: r.setdefault("t", v), "state['t']"),
    "in a dict": (lambda r, v: r.__setitem__("new", {"x": [1, v]}), "state['new']['x'][1]"),
    "in a tuple": (lambda r, v: r["l"].append((1, (v,))), "state['l'][2][1][0]"),
    "in a moved dict": (lambda r, v: put_in(r, v), "state['a']['b'][1]['c']"),
}
VALUES: dict[str, tuple[Any, str]] = {
    "a set": ({1, 2}, "store a sorted list"),
    "a frozenset": (frozenset("a"), "store a sorted list"),
    "an enum": (Colour.RED, "value.value"),
    "an IntEnum": (Size.BIG, "value.value"),
    "a str subclass": (Name("x"), "store str(value)"),
    "a named tuple": (Point(1), "store list(value)"),
    "a dict subclass": (collections.OrderedDict(a=1), "store dict(value)"),
    "a defaultdict": (collections.defaultdict(list), "store dict(value)"),
    "a deque": (collections.deque([1]), "convert it"),
    "a dataclass": (Record(1), "dataclasses.asdict"),
    "a date": (datetime.date(2026, 1, 1), "isoformat"),
    "a numpy scalar": (Numpy(), "value.tolist()"),
    "a bytearray": (bytearray(b"x"), "bytes(value)"),
    "a memoryview": (memoryview(b"x"), "bytes(value)"),
    "a complex": (1j, "convert it"),
    "a function": (len, "convert it"),
    "an int that is too large": (2**64, "found an int of 65 bits"),
    "an int that is too small": (-(2**63) - 1, "found an int of 64 bits"),
    "a str with a lone surrogate": ("a\ud800", "no UTF-8"),
    "a float key": ({1.5: 0}, "found the key 1.5 (float)"),
    "a bool key": ({True: 0}, "found the key True (bool)"),
    "a None key": ({None: 0}, "found the key None (NoneType)"),
    "a tuple key": ({(1, 2): 0}, "join its parts"),
    "an enum key": ({Colour.RED: 0}, "key.value"),
    "a str subclass as a key": ({Name("x"): 0}, "convert it with str"),
    "a key that is too large": ({2**64: 0}, "found an int of 65 bits"),
    "a key with a lone surrogate": ({"\udfff": 0}, "no UTF-8"),
}


def put_in(root: Any, value: Any) -> None:
    moved = root.pop("a")
    root["a"] = moved
    root["a"]["b"][1]["c"] = value


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("value", VALUES)
def test_value_is_refused_with_its_path(write: str, value: str) -> None:
    tree = StateTree(STATE)
    act, path = WRITES[write]
    refused, message = VALUES[value]
    tree.begin()
    with pytest.raises(StateError) as caught:
        act(tree.root, refused)
    assert str(caught.value).startswith(path + ":")
    assert message in str(caught.value)
    recorded = 2 if write == "in a moved dict" else 0
    ops, undo = tree.finish()
    assert ops[0] == 0x90 + recorded, "something was recorded"
    tree.rollback(undo)
    assert tree.plain() == (STATE, {})


KEY_WRITES: dict[str, Write] = {
    "set": lambda inner, key: inner.__setitem__(key, 1),
    "set a dict": lambda inner, key: inner.__setitem__(key, {}),
    "update": lambda inner, key: inner.update([(key, 1), ("x", 2)]),
    "setdefault": lambda inner, key: inner.setdefault(key, 1),
}


@pytest.mark.parametrize("key", [1.5, True, None, (1, 2), Colour.RED, Name("x"), 1.0], ids=repr)
@pytest.mark.parametrize("how", KEY_WRITES)
def test_key_is_refused_with_the_path_of_the_dict(key: Any, how: str) -> None:
    tree = StateTree(STATE)
    inner = tree.root["a"]
    tree.begin()
    with pytest.raises(StateError, match=r"state\['a'\]: found the key"):
        KEY_WRITES[how](inner, key)
    assert tree.finish()[0] == b"\x90"
    assert tree.plain() == (STATE, {})


@pytest.mark.parametrize("key", [True, 1.0])
def test_other_spelling_of_an_int_key_deletes_nothing(key: Any) -> None:
    tree = StateTree({"a": {1: "one"}})
    tree.begin()
    with pytest.raises(StateError, match=r"state\['a'\]: found the key"):
        tree.root["a"].pop(key)
    with pytest.raises(StateError, match=r"state\['a'\]: found the key"):
        del tree.root["a"][key]
    assert tree.root["a"] == {1: "one"}


def test_text_that_is_no_utf8_is_refused_alone() -> None:
    tree = StateTree({"l": []})
    tree.begin()
    writes: list[Callable[[], Any]] = [
        lambda: tree.root.__setitem__("x", "\ud800"),
        lambda: tree.root.__setitem__("\ud800", 1),
        lambda: tree.root["l"].append("\ud800"),
        lambda: tree.root["l"].append(2**65),
    ]
    for write in writes:
        with pytest.raises(StateError, match="state"):
            write()
    tree.root["x"] = "well"
    assert tree.finish()[0] == b"\x91\x93\x01\x92\xa5state\xa1x\xa4well"


def test_container_that_holds_itself_is_refused() -> None:
    tree = StateTree(STATE)
    circle: list[Any] = [1]
    circle.append({"again": circle})
    tree.begin()
    with pytest.raises(StateError, match=r"state\['x'\]\[1\]\['again'\]: a container holds itself"):
        tree.root["x"] = circle


def test_taken_container_is_not_put_inside_of_itself() -> None:
    tree = StateTree(STATE)
    tree.begin()
    taken = tree.root.pop("a")
    with pytest.raises(StateError, match="inside of itself"):
        taken["b"].append(taken)
    tree.root["a"] = taken
    tree.finish()
    assert tree.plain() == ({"l": [1, 2], "s": 1, "a": STATE["a"]}, {})


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"k": value}
    return value


def test_depth_is_bounded() -> None:
    tree = StateTree({})
    tree.begin()
    with pytest.raises(StateError, match=f"nested deeper than {DEPTH_MAX} levels"):
        tree.root["x"] = nested(DEPTH_MAX)
    tree.root["x"] = nested(DEPTH_MAX - 2)
    deepest: Any = tree.root["x"]
    for _ in range(DEPTH_MAX - 3):
        deepest = deepest["k"]
    deepest["k"] = 2
    with pytest.raises(StateError, match="nested deeper"):
        deepest["k"] = {}
    ops, _ = tree.finish()
    follower = StateTree({})
    follower.apply(ops)
    assert follower.plain() == tree.plain()


def test_depth_is_bounded_for_what_is_moved() -> None:
    tree = StateTree({"deep": nested(60), "other": nested(60)})
    tree.begin()
    taken = tree.root.pop("deep")
    inner: Any = tree.root["other"]
    for _ in range(58):
        inner = inner["k"]
    with pytest.raises(StateError, match="nested deeper"):
        inner["k"] = taken
    tree.root["deep"] = taken
    tree.finish()
    assert tree.root["deep"] is taken
