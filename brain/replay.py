"""Applies the operations of commits to a tree, as a follower does: no record, no undo, no checks.

What is applied was made by a tree and is covered by the log's checksums. An operation that doesn't
fit raises FollowerError: the state is not what the log says, and the process must end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import length_hint
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain.breath import breathe
from osupervisor.brain.errors import FollowerError
from osupervisor.brain.journal import Journal, refuse_outside
from osupervisor.brain.packing import array_header
from osupervisor.brain.raw import (
    dict_add,
    dict_clear,
    dict_delete,
    dict_new,
    dict_set,
    dict_update,
    list_append,
    list_extend,
    list_insert,
    list_new,
    list_pop,
    list_set,
)
from osupervisor.brain.tracked_dict import TrackedDict
from osupervisor.brain.tracked_list import TrackedList
from osupervisor.brain.undo import attach
from osupervisor.brain.values import SCALARS, is_dict
from osupervisor.bridge.operations import Opcode

_msgpack: Any = msgpack
_unpack: Final[Callable[..., Any]] = _msgpack.unpackb
_SET: Final = int(Opcode.SET)
_APPEND: Final = int(Opcode.APPEND)
_DICT: Final[type] = TrackedDict
BREATH_OPERATIONS: Final = 256
"""Operations from one breath to the next. Those that set scalars, which are fast, don't count."""


class Replayer:
    """Applies operations to the two roots of one tree."""

    __slots__ = ("_breathless", "_journal", "_roots")

    def __init__(self, state: TrackedDict, hot: TrackedDict, journal: Journal) -> None:
        self._roots: dict[str, Any] = {"state": state, "hot": hot}
        self._journal = journal
        self._breathless = 0
        """Operations since the last breath."""

    def apply(self, operations: bytes | memoryview) -> None:
        """Apply a packed array of operations. Raises FollowerError; those before stay applied."""
        self.apply_all((operations,))

    def apply_all(self, commits: Sequence[bytes | memoryview], first_lsn: int = 0) -> None:
        """Apply the packed operations of many commits, which stand at `first_lsn` and behind it.

        All are unpacked by one call and followed in one loop: a third of what they cost one by one.
        Raises FollowerError with the LSN of the first that can't be applied; those before it are.
        """
        journal = self._journal
        assert journal.record is refuse_outside, "a commit is applied inside of a request"
        if journal.near is not None or journal.orders:
            journal.start_following()
        left: Iterator[Any] | None = None
        try:
            packed = b"".join((array_header(len(commits)), *commits))
            left = iter(_unpack(packed, use_list=False, strict_map_key=False))
            self._follow(left)
        except Exception as error:
            if left is None and len(commits) > 1:
                self._apply_singly(commits, first_lsn)
                return
            lsn = first_lsn + (0 if left is None else len(commits) - length_hint(left) - 1)
            why = f"a commit's operations can't be applied: {error!r}"
            raise FollowerError(f"LSN {lsn}: {why}" if first_lsn else why, lsn) from error

    def _apply_singly(self, commits: Sequence[bytes | memoryview], first_lsn: int) -> None:
        """One of them can't be unpacked: apply those before it, and say which it is."""
        for lsn, operations in enumerate(commits, first_lsn):
            self.apply_all((operations,), lsn)

    def _follow(self, batch: Iterable[tuple[tuple[Any, ...], ...]]) -> None:
        journal, roots = self._journal, self._roots
        for operations in batch:
            for operation in operations:
                code: int = operation[0]
                if code != _SET or type(operation[2]) not in SCALARS:
                    self._apply(operation)
                    continue
                path: tuple[Any, ...] = operation[1]
                value = operation[2]
                if len(path) == 2:
                    name, key = path
                    node = roots[name]
                elif len(path) == 3:
                    name, outer, key = path
                    node = roots[name][outer]
                elif len(path) == 4:
                    name, outer, inner, key = path
                    node = roots[name][outer][inner]
                else:
                    node = _walk(roots, path[:-1])
                    key = path[-1]
                if type(node) is not _DICT and node._shift is not None:
                    old = node[key]
                    list_set(node, key, value)
                else:
                    old = dict_add(node, key, value)
                    if old is value:  # the key is new, or held this very object
                        continue
                    dict_set(node, key, value)
                if type(old) not in SCALARS:
                    journal.release(old)

    def _apply(self, operation: tuple[Any, ...]) -> None:
        self._breathless += 1
        if self._breathless >= BREATH_OPERATIONS:
            self._breathless = 0
            breathe()
        code, path, *operands = operation
        if code == _APPEND:
            node, value = _walk(self._roots, path), operands[0]
            list_append(node, wrap(value, node, len(node) + node._shift))
        elif code in _ON_CONTAINERS:
            _ON_CONTAINERS[code](self._journal, _walk(self._roots, path), *operands)
        else:
            *above, key = path
            _ON_MEMBERS[code](self._journal, _walk(self._roots, above), key, *operands)


def _walk(node: Any, path: Sequence[Any]) -> Any:
    for key in path:
        node = node[key]
    return node


def wrap(value: Any, holder: Any, place: Any) -> Any:
    """`value` as it stands in a tree: a tracked copy when it is a container."""
    if type(value) in SCALARS:
        return value
    if is_dict(value):
        node = dict_new(TrackedDict)
        dict_update(node, value)
        for key, member in value.items():
            if type(member) not in SCALARS:
                dict_set(node, key, wrap(member, node, key))
    else:
        node = list_new(TrackedList)
        list_extend(node, value)
        node._shift = 0
        for at, member in enumerate(value):
            if type(member) not in SCALARS:
                list_set(node, at, wrap(member, node, at))
    node._holder = holder
    node._place = place
    node._spot = None
    return node


def wrap_members(node: TrackedDict) -> None:
    """Put tracked copies in the place of the plain containers in a root that was just filled."""
    if not SCALARS.issuperset(map(type, node.values())):
        for key, member in node.items():
            if type(member) not in SCALARS:
                dict_set(node, key, wrap(member, node, key))


def _set(journal: Any, node: Any, key: Any, value: Any) -> None:
    if node._shift is not None:
        _release(journal, node[key])
        list_set(node, key, wrap(value, node, key + node._shift))
    else:
        _release(journal, node.get(key))
        dict_set(node, key, wrap(value, node, key))


def _delete(journal: Any, node: Any, key: Any) -> None:
    if node._shift is not None:
        _release(journal, list_pop(node, key))
        node._shift += key == 0
    else:
        _release(journal, node[key])
        dict_delete(node, key)


def _insert(journal: Any, node: Any, at: int, value: Any) -> None:
    node._shift -= at == 0
    list_insert(node, at, wrap(value, node, at + node._shift))


def _increment(journal: Any, node: Any, key: Any, amount: int) -> None:
    dict_set(node, key, node.get(key, 0) + amount)


def _clear(journal: Any, node: Any) -> None:
    if node._shift is not None:
        _splice(journal, node, 0, len(node), ())
        return
    for value in node.values():
        _release(journal, value)
    dict_clear(node)


def _merge(journal: Any, node: Any, pairs: dict[Any, Any]) -> None:
    for key, value in pairs.items():
        _set(journal, node, key, value)


def _append(journal: Any, node: Any, value: Any) -> None:
    list_append(node, wrap(value, node, len(node) + node._shift))


def _extend(journal: Any, node: Any, values: Sequence[Any]) -> None:
    start = len(node) + node._shift
    list_extend(node, [wrap(value, node, at) for at, value in enumerate(values, start)])


def _splice(journal: Any, node: Any, start: int, stop: int, values: Sequence[Any]) -> None:
    for value in node[start:stop]:
        _release(journal, value)
    if start == 0:
        node._shift += stop - len(values)
    hint = start + node._shift
    items = [wrap(value, node, at) for at, value in enumerate(values, hint)]
    list_set(node, slice(start, stop), items)


def _reverse(journal: Any, node: Any) -> None:
    _place_again(node, node[::-1])


def _reorder(journal: Any, node: Any, order: Sequence[int]) -> None:
    _place_again(node, [node[at] for at in order])


def _release(journal: Any, value: Any) -> None:
    if type(value) not in SCALARS:
        journal.release(value)


def _place_again(node: Any, after: list[Any]) -> None:
    list_set(node, slice(None), after)
    for at, value in enumerate(after, node._shift):
        attach(value, node, at)


_ON_MEMBERS: Final[dict[int, Callable[..., None]]] = {
    Opcode.SET: _set,
    Opcode.DELETE: _delete,
    Opcode.INSERT: _insert,
    Opcode.INCREMENT: _increment,
}
_ON_CONTAINERS: Final[dict[int, Callable[..., None]]] = {
    Opcode.CLEAR: _clear,
    Opcode.MERGE: _merge,
    Opcode.APPEND: _append,
    Opcode.EXTEND: _extend,
    Opcode.SPLICE: _splice,
    Opcode.REVERSE: _reverse,
    Opcode.REORDER: _reorder,
}
