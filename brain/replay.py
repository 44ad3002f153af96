"""Applies the operations of commits to a tree, as a follower does: no journal, no undo, no checks of form.

What is applied was made by a tree and is covered by the log's checksums. An operation that doesn't fit
raises FollowerError: the follower's state is not what the log says, and its process must end.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.journal import Journal
from osupervisor.brain.raw import (
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
from osupervisor.brain.undo import attach, detach
from osupervisor.brain.values import SCALARS
from osupervisor.bridge.operations import Opcode

_unpack: Final[Any] = msgpack.unpackb
_SET: Final = int(Opcode.SET)


class Replayer:
    """Applies operations to the two roots of one tree."""

    __slots__ = ("_journal", "_limbo", "_roots", "_state")

    def __init__(self, state: TrackedDict, hot: TrackedDict, journal: Journal) -> None:
        self._state = state
        self._roots = {"state": state, "hot": hot}
        self._journal = journal
        self._limbo = journal.limbo

    def apply(self, operations: bytes | memoryview) -> None:
        """Apply a packed array of operations. Raises FollowerError; those before stay applied."""
        if self._journal.remembers():
            self._journal.forget()
        state = self._state
        try:
            for operation in _unpack(operations, use_list=False, strict_map_key=False):
                if operation[0] == _SET:
                    _, path, value = operation
                    if len(path) == 2 and path[0] == "state" and type(value) in SCALARS:
                        key = path[1]
                        old = state.get(key)
                        if type(old) not in SCALARS:
                            old._holder = self._limbo
                        dict_set(state, key, value)
                        continue
                self._apply(operation)
        except FollowerError:
            raise
        except Exception as error:
            raise FollowerError(f"a commit's operations can't be applied: {error!r}") from error

    def _apply(self, operation: tuple[Any, ...]) -> None:
        code, path = operation[:2]
        on_container = _ON_CONTAINERS.get(code)
        if on_container is not None:
            on_container(self._limbo, self._walk(path), *operation[2:])
        else:
            _ON_MEMBERS[code](self._limbo, self._walk(path[:-1]), path[-1], *operation[2:])

    def _walk(self, path: Sequence[Any]) -> Any:
        here: Any = self._roots
        for key in path:
            here = here[key]
        if type(here) in SCALARS:
            raise FollowerError(f"found no container at {path!r:.200}")
        return here


def wrap(value: Any, holder: Any, place: Any) -> Any:
    """`value` as it stands in a tree: a tracked copy when it is a container."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if kind is dict:
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


def _set(limbo: Any, node: Any, key: Any, value: Any) -> None:
    if type(node) is TrackedList:
        detach(node[key], limbo)
        list_set(node, key, wrap(value, node, key + node._shift))
    else:
        detach(node.get(key), limbo)
        dict_set(node, key, wrap(value, node, key))


def _delete(limbo: Any, node: Any, key: Any) -> None:
    if type(node) is TrackedList:
        detach(list_pop(node, key), limbo)
        node._shift += key == 0
    else:
        detach(node[key], limbo)
        dict_delete(node, key)


def _insert(limbo: Any, node: Any, at: int, value: Any) -> None:
    node._shift -= at == 0
    list_insert(node, at, wrap(value, node, at + node._shift))


def _increment(limbo: Any, node: Any, key: Any, amount: int) -> None:
    dict_set(node, key, node.get(key, 0) + amount)


def _clear(limbo: Any, node: Any) -> None:
    if type(node) is TrackedList:
        _splice(limbo, node, 0, len(node), ())
        return
    for value in node.values():
        detach(value, limbo)
    dict_clear(node)


def _merge(limbo: Any, node: Any, pairs: dict[Any, Any]) -> None:
    for key, value in pairs.items():
        _set(limbo, node, key, value)


def _append(limbo: Any, node: Any, value: Any) -> None:
    list_append(node, wrap(value, node, len(node) + node._shift))


def _extend(limbo: Any, node: Any, values: Sequence[Any]) -> None:
    start = len(node) + node._shift
    list_extend(node, [wrap(value, node, at) for at, value in enumerate(values, start)])


def _splice(limbo: Any, node: Any, start: int, stop: int, values: Sequence[Any]) -> None:
    for value in node[start:stop]:
        detach(value, limbo)
    if start == 0:
        node._shift += stop - len(values)
    hint = start + node._shift
    items = [wrap(value, node, at) for at, value in enumerate(values, hint)]
    list_set(node, slice(start, stop), items)


def _reverse(limbo: Any, node: Any) -> None:
    _place_again(node, node[::-1])


def _reorder(limbo: Any, node: Any, order: Sequence[int]) -> None:
    _place_again(node, [node[at] for at in order])


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
