"""The state as the author sees it: dicts and lists that record every change.

`TrackedDict` and `TrackedList` are a dict and a list: reading, iterating and comparing is CPython's own
C code. Each method that changes something writes one operation and one undo entry to the journal first
(see journal.py for why in this order), then changes.

    slot     meaning
    holder   the container it stands in; the Journal for a root; the Limbo when it was taken out
    place    its key in a dict; in a list a hint (the index, plus the list's `shift`, when last seen)
    shift    lists: how many items were taken from the front, less those put there

Rules
* The state is a tree: a container stands in one place. One that is stored is copied when it is plain
  or stands in the tree already, and moved, the same object, when it was taken out before.
* Nothing is ever stored that `values` refuses; a refused write has changed nothing.
* Copies (`copy`, slices, `|`, `+`, deepcopy, pickle, the class called) are plain dicts and lists.
"""

from collections.abc import Callable, Iterable
from operator import index as as_index
from operator import is_not
from typing import Any, Final, Self, SupportsIndex, cast

from osupervisor.brain.errors import StateError
from osupervisor.brain.journal import Journal, Limbo, pack
from osupervisor.brain.undo import (
    attach,
    detach,
    undo_append,
    undo_clear,
    undo_delete,
    undo_insert,
    undo_item,
    undo_merge,
    undo_order,
    undo_remove,
    undo_set,
    undo_splice,
)
from osupervisor.brain.values import KEYS, MISSING, SCALARS, refused, refused_key
from osupervisor.bridge.operations import DEPTH_MAX, Key, Opcode

dict_set: Final = dict[Any, Any].__setitem__
dict_delete: Final = dict[Any, Any].__delitem__
dict_update: Final[Any] = dict[Any, Any].update
dict_clear: Final = dict[Any, Any].clear
list_set: Final[Any] = list[Any].__setitem__
list_append: Final = list[Any].append
list_extend: Final = list[Any].extend
list_insert: Final = list[Any].insert
list_pop: Final = list[Any].pop

# The plain integers: an IntEnum takes the packer three times as long.
SET: Final = int(Opcode.SET)
DELETE: Final = int(Opcode.DELETE)
CLEAR: Final = int(Opcode.CLEAR)
MERGE: Final = int(Opcode.MERGE)
APPEND: Final = int(Opcode.APPEND)
EXTEND: Final = int(Opcode.EXTEND)
INSERT: Final = int(Opcode.INSERT)
SPLICE: Final = int(Opcode.SPLICE)
REVERSE: Final = int(Opcode.REVERSE)
REORDER: Final = int(Opcode.REORDER)

Book = Journal | Limbo
"""What a walk up ends at."""


class TrackedDict(dict[Any, Any]):
    """A dict of the state. Keys are exactly str, int or bytes."""

    __slots__ = ("holder", "place")

    holder: Any
    place: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A plain dict: only the tree makes tracked ones."""
        return dict(*args, **kwargs)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise TypeError("use clear() and update()")

    def __setitem__(self, key: Key, value: Any) -> None:
        if type(key) not in KEYS or type(value) not in SCALARS:
            self._store(key, value)
            return
        path, journal = locate(self, key)
        old = self.get(key, MISSING)
        try:
            journal.record(pack((SET, path, value)))
        except (OverflowError, UnicodeError) as error:
            raise refused(path, value, error) from None
        journal.undo((undo_set, self, key, old))
        dict_set(self, key, value)
        if old is MISSING:
            if journal.orders:
                journal.note_key(self, key)
        elif type(old) not in SCALARS:
            old.holder = journal.limbo

    def __delitem__(self, key: Key) -> None:
        old = self.get(key, MISSING)
        if old is MISSING:
            raise KeyError(key)
        self._remove(key, old)

    def pop(self, key: Key, *default: Any) -> Any:  # type: ignore[override]
        old = self.get(key, MISSING)
        if old is MISSING or len(default) > 1:
            return dict.pop(self, key, *default)
        self._remove(key, old)
        return old

    def popitem(self) -> tuple[Key, Any]:
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self))
        old = self[key]
        self._remove(key, old)
        return key, old

    def clear(self) -> None:
        if not self:
            return
        path, journal = locate_container(self)
        journal.record(pack((CLEAR, path)))
        old = self.copy()
        journal.undo((undo_clear, self, old))
        journal.orders.pop(id(self), None)
        dict_clear(self)
        _detach_all(old.values(), journal)

    def setdefault(self, key: Key, default: Any = None) -> Any:
        found = self.get(key, MISSING)
        if found is not MISSING:
            return found
        self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        changes: dict[Any, Any] = dict(*args, **kwargs)
        if len(changes) == 1:
            for key, value in changes.items():
                self[key] = value
        elif changes:
            self._merge(changes)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(other)
        return self

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:  # type: ignore[override]
        return dict.fromkeys(keys, value)

    def __copy__(self) -> dict[Any, Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return plain_dict(self)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (), None, None, iter(self.items())

    def _store(self, key: Key, value: Any) -> None:
        path, journal = locate(self, key)
        if type(key) not in KEYS:
            raise refused_key(path[:-1], key)
        old = self.get(key, MISSING)
        if old is value:
            return
        node = take(value, self, path, journal)
        try:
            packed = pack((SET, path, value))
        except (OverflowError, ValueError) as error:
            raise refused(path, value, error) from None
        journal.record(packed)
        journal.undo((undo_set, self, key, old))
        if node is not value:
            journal.aliases.append((path, (SET, path, value), packed))
        node.holder = self
        node.place = key
        dict_set(self, key, node)
        if old is MISSING:
            if journal.orders:
                journal.note_key(self, key)
        elif type(old) not in SCALARS:
            old.holder = journal.limbo

    def _remove(self, key: Key, old: Any) -> None:
        path, journal = locate(self, key)
        if type(key) not in KEYS:
            raise refused_key(path[:-1], key)
        journal.record(pack((DELETE, path)))
        journal.undo((undo_delete, self, key, old, journal.order_before(self, key)))
        dict_delete(self, key)
        if type(old) not in SCALARS:
            old.holder = journal.limbo

    def _merge(self, changes: dict[Any, Any]) -> None:
        path, journal = locate_container(self)
        if not KEYS.issuperset(map(type, changes)):
            raise refused_key(path, next(key for key in changes if type(key) not in KEYS))
        for key, value in list(changes.items()):
            if type(value) not in SCALARS and self.get(key, MISSING) is value:
                del changes[key]
        nodes = take_all(changes.items(), self, path, journal)
        try:
            packed = pack((MERGE, path, changes))
        except (OverflowError, ValueError) as error:
            raise refused(path, changes, error) from None
        journal.record(packed)
        before = {key: self.get(key, MISSING) for key in changes}
        journal.undo((undo_merge, self, before))
        dict_update(self, nodes)
        for key, old in before.items():
            if old is not MISSING:
                detach(old, journal.limbo)
            elif journal.orders:
                journal.note_key(self, key)
        for key, node in nodes.items():
            attach(node, self, key)
        note_aliases(changes.items(), nodes, path, journal)


class TrackedList(list[Any]):
    """A list of the state."""

    __slots__ = ("holder", "place", "shift")

    holder: Any
    place: Any
    shift: int

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A plain list: only the tree makes tracked ones."""
        return list(*args, **kwargs)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise TypeError("use clear() and extend()")

    def append(self, value: Any) -> None:
        path, journal = locate_container(self)
        node = value
        if type(value) not in SCALARS:
            node = take(value, self, path, journal)
        try:
            packed = pack((APPEND, path, value))
        except (OverflowError, ValueError) as error:
            raise refused([*path, len(self)], value, error) from None
        journal.record(packed)
        journal.undo((undo_append, self))
        if type(value) not in SCALARS:
            node.holder = self
            node.place = len(self) + self.shift
            if node is not value:
                journal.aliases.append((path, (APPEND, path, value), packed))
        list_append(self, node)

    def insert(self, index: SupportsIndex, value: Any) -> None:
        at = int(as_index(index))
        length = len(self)
        at = max(0, at + length) if at < 0 else min(at, length)
        path, journal = locate(self, at)
        node = value
        if type(value) not in SCALARS:
            node = take(value, self, path, journal)
        try:
            packed = pack((INSERT, path, value))
        except (OverflowError, ValueError) as error:
            raise refused(path, value, error) from None
        journal.record(packed)
        journal.undo((undo_insert, self, at))
        list_insert(self, at, node)
        if at == 0:
            self.shift -= 1
        if type(value) not in SCALARS:
            node.holder = self
            node.place = at + self.shift
            if node is not value:
                journal.aliases.append((path, (INSERT, path, value), packed))

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is slice:
            self._set_slice(index, value)
            return
        at = as_position(self, index, "assignment ")
        old = self[at]
        if old is value and type(value) not in SCALARS:
            return
        path, journal = locate(self, at)
        node = value
        if type(value) not in SCALARS:
            node = take(value, self, path, journal)
        try:
            packed = pack((SET, path, value))
        except (OverflowError, ValueError) as error:
            raise refused(path, value, error) from None
        journal.record(packed)
        journal.undo((undo_item, self, at, old))
        list_set(self, at, node)
        if type(old) not in SCALARS:
            old.holder = journal.limbo
        if type(value) not in SCALARS:
            node.holder = self
            node.place = at + self.shift
            if node is not value:
                journal.aliases.append((path, (SET, path, value), packed))

    def __delitem__(self, index: Any) -> None:
        if type(index) is slice:
            self._delete_slice(index)
            return
        self._remove(as_position(self, index, "deletion "))

    def pop(self, index: SupportsIndex = -1) -> Any:
        if not self:
            raise IndexError("pop from empty list")
        at = int(as_index(index))
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            raise IndexError("pop index out of range")
        return self._remove(at)

    def remove(self, value: Any) -> None:
        try:
            at = self.index(value)
        except ValueError:
            raise ValueError("list.remove(x): x not in list") from None
        self._remove(at)

    def clear(self) -> None:
        if self:
            path, journal = locate_container(self)
            self._splice(pack((CLEAR, path)), journal, 0, len(self), [])

    def extend(self, values: Iterable[Any]) -> None:
        items = list(values)
        if not items:
            return
        path, journal = locate_container(self)
        length = len(self)
        nodes = take_all(enumerate(items, length), self, path, journal)
        packed = pack_items((EXTEND, path, items), length, items)
        self._splice(packed, journal, length, length, list(nodes.values()))
        note_aliases(enumerate(items, length), nodes, path, journal)

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[override,misc]
        self.extend(values)
        return self

    def __imul__(self, count: SupportsIndex) -> Self:
        times = as_index(count)
        if times <= 0:
            self.clear()
        elif times > 1:
            self.extend(list(self) * (times - 1))
        return self

    def reverse(self) -> None:
        if len(self) < 2:
            return
        path, journal = locate_container(self)
        self._reorder(pack((REVERSE, path)), journal, self[::-1])

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: bool = False) -> None:
        before = list(self)
        keys = before if key is None else [key(item) for item in before]
        order = sorted(range(len(before)), key=keys.__getitem__, reverse=reverse)
        if len(self) != len(before) or any(map(is_not, self, before)):
            raise ValueError("list modified during sort")
        if order != list(range(len(before))):
            path, journal = locate_container(self)
            self._reorder(pack((REORDER, path, order)), journal, [before[at] for at in order])

    def __copy__(self) -> list[Any]:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return plain_list(self)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (), None, iter(self)

    def _remove(self, at: int) -> Any:
        path, journal = locate(self, at)
        journal.record(pack((DELETE, path)))
        old = list_pop(self, at)
        journal.undo((undo_remove, self, at, old))
        if at == 0:
            self.shift += 1
        if type(old) not in SCALARS:
            old.holder = journal.limbo
        return old

    def _set_slice(self, where: slice, values: Iterable[Any]) -> None:
        start, stop, step = where.indices(len(self))
        if step != 1:
            self._set_each(range(start, stop, step), list(values))
            return
        items = list(values)
        stop = max(start, stop)
        if start == stop and not items:
            return
        path, journal = locate_container(self)
        leaving = {id(old): old for old in self[start:stop] if type(old) not in SCALARS}
        nodes = take_all(enumerate(items, start), self, path, journal, leaving)
        packed = pack_items((SPLICE, path, start, stop, items), start, items)
        self._splice(packed, journal, start, stop, list(nodes.values()))
        note_aliases(enumerate(items, start), nodes, path, journal)

    def _set_each(self, places: range, values: list[Any]) -> None:
        if len(places) != len(values):
            raise ValueError(
                f"attempt to assign sequence of size {len(values)} "
                f"to extended slice of size {len(places)}"
            )
        for at, value in zip(places, values, strict=True):
            self[at] = value

    def _delete_slice(self, where: slice) -> None:
        start, stop, step = where.indices(len(self))
        places = range(start, stop, step)
        if step == 1 and places:
            path, journal = locate_container(self)
            self._splice(pack((SPLICE, path, start, stop, ())), journal, start, stop, [])
            return
        for at in sorted(places, reverse=True):
            self._remove(at)

    def _splice(
        self, packed: bytes, journal: Book, start: int, stop: int, nodes: list[Any]
    ) -> None:
        journal.record(packed)
        old = self[start:stop]
        journal.undo((undo_splice, self, start, len(nodes), old))
        list_set(self, slice(start, stop), nodes)
        if start == 0:
            self.shift += stop - len(nodes)
        for value in old:
            detach(value, journal.limbo)
        for at, node in enumerate(nodes, start + self.shift):
            attach(node, self, at)

    def _reorder(self, packed: bytes, journal: Book, after: list[Any]) -> None:
        journal.record(packed)
        journal.undo((undo_order, self, list(self)))
        list_set(self, slice(None), after)
        for at, node in enumerate(after, self.shift):
            attach(node, self, at)


def locate(node: Any, key: Any) -> tuple[list[Any], Any]:
    """The path of the member `key` of a container, and the journal or limbo above it."""
    path = [key]
    while (holder := node.holder) is not None:
        path.append(place_in(holder, node) if type(holder) is TrackedList else node.place)
        node = holder
    path.reverse()
    return path, node


def locate_container(node: Any) -> tuple[list[Any], Any]:
    """The path of a container, and the journal or limbo above it."""
    path: list[Any] = []
    while (holder := node.holder) is not None:
        path.append(place_in(holder, node) if type(holder) is TrackedList else node.place)
        node = holder
    path.reverse()
    return path, node


def place_in(items: TrackedList, node: Any) -> int:
    """The index of `node` in `items`, found outward from its hint."""
    length = len(items)
    at = int(node.place) - items.shift
    if 0 <= at < length and items[at] is node:
        return at
    below = min(max(at, 0), length - 1)
    above = below + 1
    while below >= 0 or above < length:
        if below >= 0:
            if items[below] is node:
                above = below
                break
            below -= 1
        if above < length:
            if items[above] is node:
                break
            above += 1
    assert above < length, "a container isn't in the list that holds it"
    node.place = above + items.shift
    return above


def as_position(items: TrackedList, index: Any, doing: str) -> int:
    """`index` as a plain int from 0; raises IndexError or TypeError as a list does."""
    try:
        at = int(as_index(index))
    except TypeError:
        raise TypeError(
            f"list indices must be integers or slices, not {type(index).__name__}"
        ) from None
    if at < 0:
        at += len(items)
    if not 0 <= at < len(items):
        raise IndexError(f"list {doing}index out of range")
    return at


def take(value: Any, target: Any, path: list[Any], journal: Book) -> Any:
    """The node that is to stand at `path` in `target`: `value` itself when moved, else a copy.

    Its holder and place are left for the caller to set. Raises StateError when `value` is refused.
    """
    kind = type(value)
    tracked = kind is TrackedDict or kind is TrackedList
    if tracked and value.holder is journal.limbo:
        above = target
        while above.holder is not None:
            if above is value:
                raise StateError(tuple(path), "a container is put inside of itself", "store a copy")
            above = above.holder
        if depth_of(value) + len(path) > DEPTH_MAX:
            raise refused(path, value)
        return value
    try:
        node = adopt(value, len(path))
    except (TypeError, ValueError) as error:
        raise refused(path, value, error) from None
    if journal.loose:
        put_back(value, journal)
    return node


def take_all(
    members: Iterable[tuple[Any, Any]],
    target: Any,
    path: list[Any],
    journal: Book,
    leaving: dict[int, Any] | None = None,
) -> dict[Any, Any]:
    """Nodes and scalars for `members`, by place. `leaving` will be taken out by the same change."""
    free = leaving or {}
    taken: dict[Any, Any] = {}
    moved: set[int] = set()
    for place, value in members:
        node = value
        if type(value) not in SCALARS:
            if free.pop(id(value), None) is None:
                node = take(value, target, [*path, place], journal)
                if node is value:
                    if id(value) in moved:
                        node = adopt(value, len(path) + 1)
                    moved.add(id(value))
        taken[place] = node
    return taken


def note_aliases(
    members: Iterable[tuple[Any, Any]], taken: dict[Any, Any], path: list[Any], journal: Book
) -> None:
    """Remember what of `members` was copied, to find at the end whether it was changed since."""
    for place, value in members:
        if type(value) not in SCALARS and taken[place] is not value:
            journal.aliases.append(([*path, place], value, pack(value)))


def pack_items(operation: tuple[Any, ...], start: int, items: list[Any]) -> bytes:
    try:
        return pack(operation)
    except (OverflowError, ValueError) as error:
        for at, item in enumerate(items, start):
            try:
                pack(item)
            except (OverflowError, ValueError):
                raise refused([*operation[1], at], item, error) from None
        raise


def adopt(value: Any, depth: int) -> Any:
    """A tracked copy of a container of any kind, to stand at `depth` keys from the top.

    Raises TypeError or ValueError when something in it is refused; `refused` tells what.
    """
    if depth >= DEPTH_MAX:
        raise ValueError("too deep")
    kind = type(value)
    if kind is dict or kind is TrackedDict:
        return adopt_dict(value, depth)
    if kind is list or kind is tuple or kind is TrackedList:
        return adopt_list(value, depth)
    raise TypeError("no plain value")


def adopt_dict(value: dict[Any, Any], depth: int) -> TrackedDict:
    if not KEYS.issuperset(map(type, value)):
        raise TypeError("keys")
    node: TrackedDict = dict.__new__(TrackedDict)
    dict_update(node, value)
    if not SCALARS.issuperset(map(type, value.values())):
        for key, member in value.items():
            if type(member) not in SCALARS:
                child = adopt(member, depth + 1)
                child.holder = node
                child.place = key
                dict_set(node, key, child)
    return node


def adopt_list(value: Iterable[Any], depth: int) -> TrackedList:
    node: TrackedList = list.__new__(TrackedList)
    node.shift = 0
    list_extend(node, value)
    if not SCALARS.issuperset(map(type, node)):
        for at, member in enumerate(node):
            if type(member) not in SCALARS:
                child = adopt(member, depth + 1)
                child.holder = node
                child.place = at
                list_set(node, at, child)
    return node


def depth_of(node: Any) -> int:
    """Levels of containers in a node, itself included."""
    members = node.values() if type(node) is TrackedDict else node
    return 1 + max(
        (depth_of(member) for member in members if type(member) not in SCALARS), default=0
    )


def put_back(value: Any, journal: Book) -> None:
    """Containers changed in limbo that were copied into the state are in it again."""
    loose = journal.loose
    loose.pop(id(value), None)
    for member in value.values() if isinstance(value, dict) else value:
        if type(member) not in SCALARS:
            put_back(member, journal)


def plain(value: Any) -> Any:
    """A deep copy of plain dicts and lists."""
    if type(value) in SCALARS:
        return value
    return plain_dict(value) if isinstance(value, dict) else plain_list(value)


def plain_dict(node: dict[Any, Any]) -> dict[Any, Any]:
    return {key: value if type(value) in SCALARS else plain(value) for key, value in node.items()}


def plain_list(node: Iterable[Any]) -> list[Any]:
    return [value if type(value) in SCALARS else plain(value) for value in node]


def _detach_all(values: Iterable[Any], journal: Book) -> None:
    for value in values:
        if type(value) not in SCALARS:
            value.holder = journal.limbo
