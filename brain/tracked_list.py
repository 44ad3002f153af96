"""The list of the state; the rules are those of tracked_dict.py.

    slot      meaning
    _place    in a list a hint: the index, plus the holder's `_shift`, when last seen
    _shift    how many items were taken from the front, less those put there; so hints stay right in
              a queue

An operation names indexes from 0, whatever way they were written.
"""

from collections.abc import Callable, Iterable
from operator import index as as_index
from operator import is_not
from typing import Any, Final, Self, SupportsIndex

from osupervisor.brain import spot
from osupervisor.brain.adopt import note_aliases, pack_all, take, take_all
from osupervisor.brain.journal import Book
from osupervisor.brain.plain import plain_list
from osupervisor.brain.raw import list_append, list_insert, list_pop, list_set
from osupervisor.brain.spot import Spot, pack, path_of, spot_of
from osupervisor.brain.undo import (
    undo_append,
    undo_insert,
    undo_item,
    undo_order,
    undo_remove,
    undo_splice,
)
from osupervisor.brain.values import SCALARS, python_class, refused

_UNDO_APPEND: Final = undo_append


@python_class
class TrackedList(list[Any]):
    """A list of the state."""

    __slots__ = ("_holder", "_place", "_shift", "_spot")

    _holder: Any
    _place: Any
    _shift: int
    _spot: Any

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A plain list: only the tree makes tracked ones."""
        plain: list[Any] = list(*args, **kwargs)
        return plain

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Raises TypeError: called for a list that exists, it would go round the journal."""
        raise TypeError("use clear() and extend()")

    def append(self, value: Any) -> None:
        kept: Spot = self._spot or spot_of(self)
        book: Book = kept[0]
        head = kept[1]
        if type(value) in SCALARS:
            record, undo = book.record, book.undo
            try:
                record(head + pack(value))
            except (OverflowError, ValueError) as error:
                raise refused(path_of(self, len(self)), value, error) from None
            undo((_UNDO_APPEND, self))
            list_append(self, value)
            return
        node, packed = self._take(len(self), value, book, kept[4])
        operation = head + packed
        book.record(operation)
        book.undo((undo_append, self))
        if node is not value:
            book.aliases.append((operation, (len(self),), value, packed))
        node._place = len(self) + self._shift
        node._holder = self
        list_append(self, node)

    def insert(self, index: SupportsIndex, value: Any) -> None:
        length = len(self)
        at = int(as_index(index))
        at = max(0, at + length) if at < 0 else min(at, length)
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        node, packed = self._take(at, value, book, depth)
        operation = spot.INSERT[depth] + prefix + pack(at) + packed
        if book.near is not None:
            book.drop_near()
        book.record(operation)
        book.undo((undo_insert, self, at))
        if at == 0:
            self._shift -= 1
        self._note(at, value, node, operation, book, packed)
        list_insert(self, at, node)

    def __setitem__(self, index: Any, value: Any) -> None:
        if type(index) is slice:
            self._set_slice(index, value)
            return
        at = self._position(index, "assignment ")
        old = self[at]
        if old is value and type(value) not in SCALARS:
            return
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        node, packed = self._take(at, value, book, depth)
        operation = spot.SET[depth] + prefix + pack(at) + packed
        book.record(operation)
        book.undo((undo_item, self, at, old))
        self._note(at, value, node, operation, book, packed)
        list_set(self, at, node)
        if type(old) not in SCALARS:
            book.release(old)

    def __delitem__(self, index: Any) -> None:
        if type(index) is slice:
            self._delete_slice(index)
        else:
            self._remove(self._position(index, "assignment "))

    def pop(self, index: SupportsIndex = -1) -> Any:
        if not self:
            raise IndexError("pop from empty list")
        return self._remove(self._position(index, "pop "))

    def remove(self, value: Any) -> None:
        try:
            at = self.index(value)
        except ValueError:
            raise ValueError("list.remove(x): x not in list") from None
        self._remove(at)

    def clear(self) -> None:
        if self:
            kept: Spot = self._spot or spot_of(self)
            book, _, _, prefix, depth = kept
            self._splice(spot.CLEAR[depth] + prefix, book, 0, len(self), [])

    def extend(self, values: Iterable[Any]) -> None:
        items = list(values)
        if items:
            self._put(items, len(self), len(self))

    def __iadd__(self, values: Iterable[Any]) -> Self:  # type: ignore[misc]
        self.extend(values)
        return self

    def __imul__(self, count: SupportsIndex) -> Self:
        try:
            times = as_index(count)
        except TypeError:
            kind = type(count).__name__
            raise TypeError(f"can't multiply sequence by non-int of type '{kind}'") from None
        if times <= 0:
            self.clear()
        elif times > 1:
            self.extend(list(self) * (times - 1))
        return self

    def reverse(self) -> None:
        if len(self) > 1:
            kept: Spot = self._spot or spot_of(self)
            book, _, _, prefix, depth = kept
            self._reorder(spot.REVERSE[depth] + prefix, book, self[::-1])

    def sort(self, *, key: Callable[[Any], Any] | None = None, reverse: Any = False) -> None:
        before = list(self)
        keys = before if key is None else [key(item) for item in before]
        order = sorted(range(len(before)), key=keys.__getitem__, reverse=reverse)
        if len(self) != len(before) or any(map(is_not, self, before)):
            raise ValueError("list modified during sort")
        if order != list(range(len(before))):
            kept: Spot = self._spot or spot_of(self)
            book, _, _, prefix, depth = kept
            operation = spot.REORDER[depth] + prefix + pack(order)
            self._reorder(operation, book, [before[at] for at in order])

    def __copy__(self) -> list[Any]:
        return self.copy()

    def __deepcopy__(self, _memo: dict[int, Any]) -> list[Any]:
        return plain_list(self)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return list, (), None, iter(self)

    def _position(self, index: Any, doing: str) -> int:
        """`index` as a plain int from 0; raises IndexError or TypeError as a list does."""
        try:
            at = int(as_index(index))
        except TypeError:
            kind = type(index).__name__
            raise TypeError(f"list indices must be integers or slices, not {kind}") from None
        if at < 0:
            at += len(self)
        if not 0 <= at < len(self):
            space = "list " if doing != "pop " else ""
            raise IndexError(f"{space}{doing}index out of range")
        return at

    def _take(self, at: int, value: Any, book: Any, depth: int) -> tuple[Any, bytes]:
        """What is to stand at `at` for `value`, and `value` packed."""
        node = value if type(value) in SCALARS else take(value, self, at, book, depth)
        try:
            return node, pack(value)
        except (OverflowError, ValueError) as error:
            raise refused(path_of(self, at), value, error) from None

    def _note(
        self, at: int, value: Any, node: Any, operation: bytes, book: Any, packed: bytes
    ) -> None:
        """Note where `node` stands for `value`; `operation` has that place in its path."""
        if type(value) not in SCALARS:
            node._holder = self
            node._place = at + self._shift
            if node is not value:
                book.aliases.append((operation, (), value, packed))

    def _remove(self, at: int) -> Any:
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        if book.near is not None:
            book.drop_near()
        book.record(spot.DELETE[depth] + prefix + pack(at))
        old = list_pop(self, at)
        book.undo((undo_remove, self, at, old))
        if at == 0:
            self._shift += 1
        if type(old) not in SCALARS:
            book.release(old)
        return old

    def _set_slice(self, where: slice, values: Iterable[Any]) -> None:
        if not hasattr(type(values), "__iter__") and not hasattr(type(values), "__getitem__"):
            plain: list[Any] = []
            plain[where] = values  # refused in Python's own words, which differ by its version
        items = list(values)
        places = range(*where.indices(len(self)))
        if places.step == 1:
            stop = max(places.start, places.stop)
            if items or places.start < stop:
                self._put(items, places.start, stop)
            return
        if len(places) != len(items):
            raise ValueError(
                f"attempt to assign sequence of size {len(items)} "
                f"to extended slice of size {len(places)}"
            )
        if items:
            first, stop = min(places), max(places) + 1
            after = self[first:stop]
            for at, item in zip(places, items, strict=True):
                after[at - first] = item
            self._put(after, first, stop)

    def _delete_slice(self, where: slice) -> None:
        places = range(*where.indices(len(self)))
        if places:
            first, stop = min(places), max(places) + 1
            kept = [] if abs(places.step) == 1 else self[first:stop]
            if kept:
                del kept[:: abs(places.step)]
            self._put(kept, first, stop)

    def _put(self, items: list[Any], start: int, stop: int) -> None:
        """Put `items` in the place of those from `start` to before `stop`."""
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        leaving = {id(old): old for old in self[start:stop] if type(old) not in SCALARS}
        places = range(start, start + len(items))
        taken = take_all(places, items, self, book, depth, leaving)
        packed = pack_all(items, places, items, self)
        if start == stop == len(self):
            operation = spot.EXTEND[depth] + prefix + packed
        else:
            operation = spot.SPLICE[depth] + prefix + pack(start) + pack(stop) + packed
        self._splice(operation, book, start, stop, taken)
        note_aliases(operation, places, items, taken, book)

    def _splice(self, operation: bytes, book: Any, start: int, stop: int, nodes: list[Any]) -> None:
        if book.near is not None:
            book.drop_near()
        book.record(operation)
        old = self[start:stop]
        book.undo((undo_splice, self, start, len(nodes), old))
        list_set(self, slice(start, stop), nodes)
        if start == 0:
            self._shift += stop - len(nodes)
        for value in old:
            if type(value) not in SCALARS:
                book.release(value)
        self._place_from(start, nodes)

    def _reorder(self, operation: bytes, book: Any, after: list[Any]) -> None:
        if book.near is not None:
            book.drop_near()
        book.record(operation)
        book.undo((undo_order, self, list(self)))
        list_set(self, slice(None), after)
        self._place_from(0, after)

    def _place_from(self, start: int, nodes: list[Any]) -> None:
        for at, node in enumerate(nodes, start + self._shift):
            if type(node) not in SCALARS:
                node._holder = self
                node._place = at
