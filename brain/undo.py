"""How each change of a tracked container is taken back. Pure but for the containers themselves.

An undo entry is a tuple: one of these functions, then its arguments after the first. `journal.rollback`
calls them newest first, so each finds its container exactly as its change left it. They go round the
overrides of the tracked classes: what they do is neither recorded nor refused.

A container that comes back is the same object again, with its holder and place; one that was put in
is detached again. Positions of dict keys come back too: `undo_delete` puts the key at the end and
leaves a note in `rollback.displaced`, and `restore_orders` puts each such dict in order once, at the end.
"""

from itertools import islice
from typing import Any

from osupervisor.brain.raw import (
    dict_clear,
    dict_delete,
    dict_set,
    dict_update,
    list_insert,
    list_pop,
    list_set,
)
from osupervisor.brain.values import MISSING, SCALARS

Order = tuple[list[Any], int]
"""The keys of a dict in order: last occurrences within the first n of a list that only grows."""


class Rollback:
    """One walk back through undo entries."""

    __slots__ = ("displaced", "limbo")

    def __init__(self, limbo: Any) -> None:
        self.limbo = limbo
        self.displaced: dict[int, tuple[Any, Order]] = {}

    def restore_orders(self) -> None:
        """Put the keys of each dict that got a deleted key back into their old order; O(its size)."""
        for node, (keys, length) in self.displaced.values():
            last = dict.fromkeys(reversed(list(islice(keys, length))))
            items = {key: node[key] for key in reversed(last) if key in node}
            items.update(node)
            dict_clear(node)
            dict_update(node, items)
        self.displaced.clear()


def undo_set(rollback: Rollback, node: Any, key: Any, old: Any) -> None:
    detach(node[key], rollback.limbo)
    if old is MISSING:
        dict_delete(node, key)
    else:
        dict_set(node, key, old)
        attach(old, node, key)


def undo_delete(rollback: Rollback, node: Any, key: Any, old: Any, order: Order | None) -> None:
    dict_set(node, key, old)
    attach(old, node, key)
    if order is not None:
        rollback.displaced[id(node)] = (node, order)


def undo_clear(rollback: Rollback, node: Any, items: dict[Any, Any]) -> None:
    rollback.displaced.pop(id(node), None)
    dict_update(node, items)
    for key, value in items.items():
        attach(value, node, key)


def undo_merge(rollback: Rollback, node: Any, before: dict[Any, Any]) -> None:
    for key in before:
        detach(node[key], rollback.limbo)
    for key, old in reversed(before.items()):
        if old is MISSING:
            dict_delete(node, key)
        else:
            dict_set(node, key, old)
            attach(old, node, key)


def undo_item(rollback: Rollback, node: Any, index: int, old: Any) -> None:
    detach(node[index], rollback.limbo)
    list_set(node, index, old)
    attach(old, node, index + node._shift)


def undo_append(rollback: Rollback, node: Any) -> None:
    detach(list_pop(node), rollback.limbo)


def undo_insert(rollback: Rollback, node: Any, index: int) -> None:
    detach(list_pop(node, index), rollback.limbo)


def undo_remove(_rollback: Rollback, node: Any, index: int, old: Any) -> None:
    list_insert(node, index, old)
    attach(old, node, index + node._shift)


def undo_splice(rollback: Rollback, node: Any, start: int, length: int, old: list[Any]) -> None:
    """`length` items from `start` on were put in the place of `old`."""
    for value in node[start : start + length]:
        detach(value, rollback.limbo)
    list_set(node, slice(start, start + length), old)
    for index, value in enumerate(old, start + node._shift):
        attach(value, node, index)


def undo_order(_rollback: Rollback, node: Any, old: list[Any]) -> None:
    list_set(node, slice(None), old)
    for index, value in enumerate(old, node._shift):
        attach(value, node, index)


def attach(value: Any, holder: Any, place: Any) -> None:
    """Note where `value` stands now, when it is a container."""
    if type(value) not in SCALARS:
        value._holder = holder
        value._place = place


def detach(value: Any, limbo: Any) -> None:
    """Note that `value` stands nowhere, when it is a container."""
    if type(value) not in SCALARS:
        value._holder = limbo
