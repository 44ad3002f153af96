"""The second tree finds what was changed and not recorded, and nothing else."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from osupervisor.brain.errors import Path
from osupervisor.brain.state import StateTree
from osupervisor.brain.witness import UnrecordedChangeError, Witness, first_difference
from tests.brain.state.actions import change, keep_tracked, store_twice

STATE: dict[str, Any] = {"q": [3, 1, 2], "d": {"x": {"y": 1}, "z": 2}, "s": 1}
PLAIN: Any = dict
Bypass = tuple[Callable[[Any], Any], Path]
BYPASSES: dict[str, Bypass] = {
    "list.append": (lambda r: list[Any].append(r["q"], 0), ("state", "q")),
    "list item": (lambda r: list[Any].__setitem__(r["q"], 1, 9), ("state", "q", 1)),
    "dict item": (lambda r: PLAIN.__setitem__(r["d"]["x"], "y", 2), ("state", "d", "x", "y")),
    "dict.update": (lambda r: PLAIN.update(r["d"], new=1), ("state", "d")),
    "order": (lambda r: PLAIN.__setitem__(r["d"], "x", PLAIN.pop(r["d"], "x")), ("state", "d")),
    "root": (lambda r: PLAIN.__delitem__(r, "s"), ("state",)),
    "1 to True": (lambda r: PLAIN.__setitem__(r, "s", True), ("state", "s")),
    "1 to 1.0": (lambda r: PLAIN.__setitem__(r, "s", 1.0), ("state", "s")),
}


def commit(tree: StateTree, act: Callable[[Any], Any]) -> bytes:
    tree.begin()
    act(tree.root)
    return tree.finish()[0]


@pytest.mark.parametrize("name", BYPASSES)
def test_change_past_the_methods_is_found_with_its_path(name: str) -> None:
    tree = StateTree(STATE)
    witness = Witness(tree)
    act, path = BYPASSES[name]
    with pytest.raises(UnrecordedChangeError, match="changed without being recorded") as caught:
        witness.check(commit(tree, act))
    assert caught.value.path == path


def test_only_what_was_touched_is_compared_when_asked_so() -> None:
    tree = StateTree(STATE)
    witness = Witness(tree)
    bypass, _ = BYPASSES["list.append"]
    witness.check(commit(tree, bypass), whole=False)
    witness.check(commit(tree, lambda r: r["d"].pop("z")), whole=False)
    witness.check(commit(tree, lambda r: r.pop("s")), whole=False)
    with pytest.raises(UnrecordedChangeError, match=r"state\['q'\]"):
        witness.check(commit(tree, lambda r: r["q"].append(1)), whole=False)


def test_witness_starts_anew_after_a_rollback() -> None:
    tree = StateTree(STATE, {"n": 1})
    witness = Witness(tree)
    tree.begin()
    tree.root["q"].clear()
    tree.hot["n"] += 1
    ops, undo = tree.finish()
    witness.check(ops)
    tree.rollback(undo)
    witness.forget()
    witness.check(commit(tree, lambda r: r["q"].pop()))


def test_recorded_changes_are_never_found() -> None:
    seed = 11
    print(f"seed {seed}")
    rng = Random(seed)
    tree = StateTree({})
    witness = Witness(tree)
    for _ in range(300):
        tree.begin()
        done = [change(tree.root, rng, keep_tracked) for _ in range(3)]
        if store_twice in done:
            tree.rollback_open()
        else:
            witness.check(tree.finish()[0], whole=rng.random() < 0.5)


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 1}, {"a": 2}, ("a",)),
        ({"a": [1, {"b": 0.0}]}, {"a": [1, {"b": -0.0}]}, ("a", 1, "b")),
        ([1, 2], [1, 2, 3], ()),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, ()),
        (1, True, ()),
    ],
)
def test_first_difference(one: Any, two: Any, path: Path | None) -> None:
    assert first_difference(one, two) == path
