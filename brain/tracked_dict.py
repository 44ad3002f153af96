"""The dict of the state: reading and comparing is CPython's own C code, each change is recorded.

    slot      meaning
    _holder   the container it stands in; the Journal for a root; the Limbo when it was taken out
    _place    its key in a dict, a hint of its index in a list
    _spot     its packed path, where that is kept (spot.py)

Rules, for lists as well
* The state is a tree: a container stands in one place. One that is stored is copied when it is
  plain or stands in the tree already, and moved, the same object, when it was taken out before.
* A change is packed, recorded, noted for undo, then made (journal.py): what is refused changes
  nothing.
* Copies (`copy`, slices, `|`, `+`, deepcopy, pickle, the class called) are plain dicts and lists.
"""

from collections.abc import Iterable
from typing import Any, Final, Self, SupportsIndex

from osupervisor.brain import spot
from osupervisor.brain.adopt import note_aliases, pack_all, take, take_all
from osupervisor.brain.journal import Book
from osupervisor.brain.plain import plain_dict
from osupervisor.brain.raw import dict_add, dict_clear, dict_delete, dict_get, dict_set, dict_update
from osupervisor.brain.spot import Spot, pack, path_of, spot_of
from osupervisor.brain.undo import undo_clear, undo_delete, undo_merge, undo_set
from osupervisor.brain.values import KEYS, MISSING, SCALARS, python_class, refused, refused_key

_UNDO_SET: Final = undo_set
"""Of its own name: in compiled code that is no look-up."""


@python_class
class TrackedDict(dict[Any, Any]):
    """A dict of the state. Keys are exactly str, int or bytes."""

    __slots__ = ("_holder", "_place", "_spot")

    _shift: Final = None
    """A list has a number there."""

    _holder: Any
    _place: Any
    _spot: Any

    # Compiled, a positional-only parameter's name is taken from the keywords: so it is no key's.
    def __new__(__cls, /, *args: Any, **kwargs: Any) -> Any:
        """A plain dict: only the tree makes tracked ones."""
        return dict(*args, **kwargs)

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        """Raises TypeError: called for a dict that exists, it would go round the journal."""
        raise TypeError("use clear() and update()")

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) not in KEYS or type(value) not in SCALARS:
            self._store(key, value)
            return
        kept: Spot = self._spot or spot_of(self)
        book: Book = kept[0]
        old = dict_get(self, key, MISSING)
        record, undo = book.record, book.undo
        try:
            record(kept[1] + kept[2](key) + pack(value))
        except (OverflowError, ValueError) as error:
            raise refused(path_of(self, key), value, error) from None
        undo((_UNDO_SET, self, key, old))
        if old is MISSING:
            dict_add(self, key, value)
            if book.orders:
                book.note_key(self, key)
        else:
            dict_set(self, key, value)
            if type(old) not in SCALARS:
                book.release(old)

    def __delitem__(self, key: Any) -> None:
        old = self.get(key, MISSING)
        if old is MISSING:
            raise KeyError(key)
        self._remove(key, old)

    def pop(self, key: Any, *default: Any) -> Any:
        old = self.get(key, MISSING)
        if old is MISSING or len(default) > 1:
            return dict[Any, Any].pop(self, key, *default)
        self._remove(key, old)
        return old

    def popitem(self) -> tuple[Any, Any]:
        if not self:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self))
        old = self[key]
        self._remove(key, old)
        return key, old

    def clear(self) -> None:
        if not self:
            return
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        book.record(spot.CLEAR[depth] + prefix)
        old = self.copy()
        book.undo((undo_clear, self, old))
        book.orders.pop(id(self), None)
        dict_clear(self)
        for value in old.values():
            if type(value) not in SCALARS:
                book.release(value)

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        found = self.get(key, MISSING)
        if found is not MISSING:
            return found
        self[key] = default
        return self[key]

    def update(__self, /, *args: Any, **kwargs: Any) -> None:
        if len(args) > 1:
            raise TypeError(f"update expected at most 1 argument, got {len(args)}")
        changes: dict[Any, Any] = dict(*args, **kwargs)
        if len(changes) == 1:
            for key, value in changes.items():
                __self[key] = value
        elif changes:
            __self._merge(changes)

    def __ior__(self, other: Any) -> Self:  # type: ignore[misc]
        self.update(other)
        return self

    @classmethod
    def fromkeys(cls, keys: Iterable[Any], value: Any = None) -> dict[Any, Any]:
        """A plain dict."""
        return dict.fromkeys(keys, value)

    def __copy__(self) -> dict[Any, Any]:
        return self.copy()

    def __deepcopy__(self, _memo: dict[int, Any]) -> dict[Any, Any]:
        return plain_dict(self)

    def __reduce_ex__(self, _protocol: SupportsIndex) -> tuple[Any, ...]:
        return dict, (), None, None, iter(self.items())

    def _store(self, key: Any, value: Any) -> None:
        """Set a key to a container."""
        if type(key) not in KEYS:
            raise refused_key(path_of(self), key)
        old = self.get(key, MISSING)
        if old is value:
            return
        kept: Spot = self._spot or spot_of(self)
        book, head, pack_key, _, depth = kept
        node = take(value, self, key, book, depth)
        try:
            packed = pack(value)
            operation = head + pack_key(key) + packed
        except (OverflowError, ValueError) as error:
            raise refused(path_of(self, key), value, error) from None
        book.record(operation)
        book.undo((undo_set, self, key, old))
        if node is not value:
            book.aliases.append((operation, (), value, packed))
        node._holder = self
        node._place = key
        dict_set(self, key, node)
        if old is MISSING:
            if book.orders:
                book.note_key(self, key)
        elif type(old) not in SCALARS:
            book.release(old)

    def _remove(self, key: Any, old: Any) -> None:
        if type(key) not in KEYS:
            raise refused_key(path_of(self), key)
        kept: Spot = self._spot or spot_of(self)
        book, _, pack_key, prefix, depth = kept
        book.record(spot.DELETE[depth] + prefix + pack_key(key))
        book.undo((undo_delete, self, key, old, book.order_before(self, key)))
        dict_delete(self, key)
        if type(old) not in SCALARS:
            book.release(old)

    def _merge(self, changes: dict[Any, Any]) -> None:
        """Set several keys by one operation."""
        for key, value in list(changes.items()):
            if type(key) not in KEYS:
                raise refused_key(path_of(self), key)
            if type(value) not in SCALARS and self.get(key) is value:
                del changes[key]
        values = list(changes.values())
        kept: Spot = self._spot or spot_of(self)
        book, _, _, prefix, depth = kept
        taken = take_all(changes, values, self, book, depth, {})
        operation = spot.MERGE[depth] + prefix + pack_all(changes, changes, values, self)
        book.record(operation)
        before = {key: self.get(key, MISSING) for key in changes}
        book.undo((undo_merge, self, before))
        note_aliases(operation, changes, values, taken, book)
        for key, node in zip(before, taken, strict=True):
            if type(node) not in SCALARS:
                node._holder = self
                node._place = key
                changes[key] = node
        dict_update(self, changes)
        for key, old in before.items():
            if old is MISSING:
                book.note_key(self, key)
            elif type(old) not in SCALARS:
                book.release(old)
