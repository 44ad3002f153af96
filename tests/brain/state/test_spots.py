"""Kept paths are right after everything that moves a container, and few are kept."""

from collections.abc import Callable
from typing import Any

import pytest

from osupervisor.brain import spot
from osupervisor.brain.state import StateTree
from osupervisor.bridge import operations
from tests.brain.state.actions import containers, is_container, is_dict, members

STATE: dict[Any, Any] = {
    "small": {"inner": {"deep": {"x": 1}}, "other": {}},
    "table": {f"u{number}": {"n": number, "in": {"y": 1}} for number in range(100)},
    "rows": [{"n": number, "in": {"z": [1]}} for number in range(5)],
}


def write_everywhere(tree: StateTree) -> list[list[Any]]:
    """Set a key in every dict and append to every list; the operations."""
    tree.begin()
    for node in containers(tree.root):
        if is_dict(node):
            node["mark"] = 1
        else:
            node.append(0)
    return operations.unpack(tree.finish()[0])


def real_paths(root: Any) -> list[list[Any]]:
    """The paths of all containers, in the order of `containers`."""
    queue: list[tuple[Any, list[Any]]] = [(root, ["state"])]
    for node, path in queue:
        queue += [(m, [*path, key]) for key, m in members(node) if is_container(m)]
    return [path for _, path in queue]


def assert_paths(tree: StateTree) -> None:
    wanted = real_paths(tree.root)
    for _ in range(2):
        found = [op[1][:-1] if op[0] == 1 else op[1] for op in write_everywhere(tree)]
        assert found == wanted


def name_of(act: Callable[[Any], None]) -> str:
    return act.__name__


def move_up(root: Any) -> None:
    root["up"] = root["small"].pop("inner")


def move_into_list(root: Any) -> None:
    root["rows"].insert(1, root.pop("small"))


def move_down(root: Any) -> None:
    root["table"]["u3"]["in"]["moved"] = root.pop("small")


def replace(root: Any) -> None:
    root["small"] = {"inner": {"deep": {}}}


def replace_and_put_back(root: Any) -> None:
    small = root.pop("small")
    root["small"] = 0
    root["small"] = small


def rename(root: Any) -> None:
    root["renamed"] = root.pop("small")
    root["small"] = {"inner": {"deep": {"x": 2}}}


def swap(root: Any) -> None:
    inner = root["small"]["inner"]
    inner["tail"] = [1]
    inner["deep"], inner["tail"] = inner["tail"], inner["deep"]


def shift(root: Any) -> None:
    root["rows"][2]["in"]["z"].append(1)
    root["rows"].pop(0)
    root["rows"][2]["in"]["z"].append(2)
    root["rows"].insert(0, {})
    root["rows"].insert(3, [])


def reorder(root: Any) -> None:
    root["rows"][0]["n"] = 9
    root["rows"].reverse()
    root["rows"][-1]["n"] = 10
    root["rows"].sort(key=str)


def splice(root: Any) -> None:
    root["rows"][3]["in"]["q"] = {}
    root["rows"][0:2] = [[1], root["rows"][1], {"new": 1}]


def clear(root: Any) -> None:
    root["small"].clear()
    root["small"]["inner"] = {"deep": {}}


def wrap(root: Any) -> None:
    root["small"] = {"wrapped": {"inner": root.pop("small")}}


MOVES = [
    move_up,
    move_into_list,
    move_down,
    replace,
    replace_and_put_back,
    rename,
    swap,
    shift,
    reorder,
    splice,
    clear,
    wrap,
]


@pytest.mark.parametrize("act", MOVES, ids=name_of)
@pytest.mark.parametrize("how", ["commit", "rollback", "follow"])
def test_paths_are_right_after_a_move(act: Callable[[Any], None], how: str) -> None:
    tree = StateTree(STATE)
    assert_paths(tree)
    other = StateTree(*tree.plain())
    other.begin()
    act(other.root)
    ops, _ = other.finish()
    if how == "follow":
        tree.apply(ops)
    else:
        tree.begin()
        act(tree.root)
        own, undo = tree.finish()
        assert own == ops
        if how == "rollback":
            tree.rollback(undo)
    assert_paths(tree)


def test_records_of_a_large_table_keep_no_spot_but_the_last_one() -> None:
    tree = StateTree(STATE)
    assert_paths(tree)
    kept = [node for node in containers(tree.root["table"])[1:] if node._spot is not None]
    assert len(kept) <= 1
    assert tree.root["table"]._spot is not None
    assert tree.root["small"]["inner"]["deep"]._spot is not None
    rows = [node for node in containers(tree.root["rows"])[1:] if node._spot is not None]
    assert len(kept + rows) <= 1


def test_number_of_kept_spots_is_bounded() -> None:
    wide: dict[str, Any] = {f"a{a}": {f"b{b}": {"c": {}} for b in range(30)} for a in range(30)}
    tree = StateTree({"wide": wide})
    for _ in range(2):
        assert_paths(tree)
        spots = [node for node in containers(tree.root) if node._spot is not None]
        assert len(spots) <= spot.SPOTS_MAX + 2


def test_number_of_known_keys_is_bounded() -> None:
    known = spot.KnownKeys()
    for number in range(3 * spot.KEYS_KNOWN_MAX):
        assert known[f"k{number}"] == spot.pack(f"k{number}")
        assert len(known) <= spot.KEYS_KNOWN_MAX


def test_container_is_found_in_a_list_however_wrong_its_hint() -> None:
    tree = StateTree({"l": [{"n": number} for number in range(50)]})
    items: Any = tree.root["l"]
    for at, node in enumerate(list(items)):
        for hint in (-100, -1, 0, 1, 25, 49, 50, 1_000):
            node._place = hint
            assert spot.place_in(items, node) == at
            assert node._place == at
