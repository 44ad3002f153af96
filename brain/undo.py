"""How each change of a tracked container is taken back. Pure but for the containers themselves.

An undo entry is a tuple: one of these functions, the container, then what the function needs. The
journal calls them newest first, so each finds its container exactly as its change left it. They go
round the overrides of the tracked classes: what they do is neither recorded nor refused.

A container that comes back is the same object again, with its holder and place; one that was put
in is released to limbo. Positions of dict keys come back too: `undo_delete` puts the key at the end
and leaves a note in `journal.displaced`; `restore_orders` puts each such dict in order, once.
"""

from collections.abc import Iterable
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

UndoEntry = tuple[Any, ...]
Order = tuple[list[Any], int]
"""The keys of a dict in order: last occurrences within the first n of a list that only grows."""
Displaced = dict[int, tuple[Any, Order]]
"""Dicts whose keys are out of order, by id, and the order that they had."""


def undo_set(journal: Any, entry: UndoEntry) -> None:
    """(node, key, old or MISSING)"""
    _, node, key, old = entry
    new = node[key]
    if old is MISSING:
        dict_delete(node, key)
    else:
        dict_set(node, key, old)
        if type(old) not in SCALARS:
            attach(old, node, key)
    if type(new) not in SCALARS:
        journal.release(new)


def undo_delete(journal: Any, entry: UndoEntry) -> None:
    """(node, key, old, its order before or None)"""
    _, node, key, old, order = entry
    dict_set(node, key, old)
    attach(old, node, key)
    if order is not None:
        journal.displaced[id(node)] = (node, order)


def undo_clear(journal: Any, entry: UndoEntry) -> None:
    """(node, its items)"""
    _, node, items = entry
    journal.displaced.pop(id(node), None)
    dict_update(node, items)
    for key, value in items.items():
        attach(value, node, key)


def undo_merge(journal: Any, entry: UndoEntry) -> None:
    """(node, old or MISSING by key)"""
    _, node, before = entry
    new = [node[key] for key in before]
    for key, old in before.items():
        if old is MISSING:
            dict_delete(node, key)
        else:
            dict_set(node, key, old)
    _release(journal, new)
    for key, old in before.items():
        if old is not MISSING:
            attach(old, node, key)


def undo_item(journal: Any, entry: UndoEntry) -> None:
    """(node, index, old)"""
    _, node, at, old = entry
    new = node[at]
    list_set(node, at, old)
    _release(journal, (new,))
    attach(old, node, at + node._shift)


def undo_append(journal: Any, entry: UndoEntry) -> None:
    """(node,)"""
    _release(journal, (list_pop(entry[1]),))


def undo_insert(journal: Any, entry: UndoEntry) -> None:
    """(node, index)"""
    _release(journal, (list_pop(entry[1], entry[2]),))


def undo_remove(_journal: Any, entry: UndoEntry) -> None:
    """(node, index, old)"""
    _, node, at, old = entry
    list_insert(node, at, old)
    attach(old, node, at + node._shift)


def undo_splice(journal: Any, entry: UndoEntry) -> None:
    """(node, start, how many were put there, the old items)"""
    _, node, start, count, old = entry
    new = node[start : start + count]
    list_set(node, slice(start, start + count), old)
    _release(journal, new)
    for at, value in enumerate(old, start + node._shift):
        attach(value, node, at)


def undo_order(_journal: Any, entry: UndoEntry) -> None:
    """(node, the old items)"""
    _, node, old = entry
    list_set(node, slice(None), old)
    for at, value in enumerate(old, node._shift):
        attach(value, node, at)


def restore_orders(displaced: Displaced) -> None:
    """Put the keys of each dict that got a deleted key back in their old order; O(its size)."""
    for node, (keys, length) in displaced.values():
        last = dict.fromkeys(reversed(list(islice(keys, length))))
        items = {key: node[key] for key in reversed(last) if key in node}
        items.update(node)
        dict_clear(node)
        dict_update(node, items)
    displaced.clear()


def taken_out(entry: UndoEntry) -> Iterable[tuple[Any, Any]]:
    """What the change took out of the container, with its places there."""
    undo, _, *arguments = entry
    if undo is undo_splice:
        start: int = arguments[0]
        items: list[Any] = arguments[2]
        return enumerate(items, start)
    if undo in (undo_clear, undo_merge):
        before: dict[Any, Any] = arguments[0]
        return before.items()
    if undo in (undo_set, undo_delete, undo_item, undo_remove):
        return ((arguments[0], arguments[1]),)
    return ()


def attach(value: Any, holder: Any, place: Any) -> None:
    """Note where `value` stands now, when it is a container."""
    if type(value) not in SCALARS:
        value._holder = holder
        value._place = place


def _release(journal: Any, values: Any) -> None:
    for value in values:
        if type(value) not in SCALARS:
            journal.release(value)
