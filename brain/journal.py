"""The journal of the running request: its packed operations, and how to undo them.

A tree has one journal. It stands above the two roots, so that a container that walks up to find its
path finds its journal as well. It is in one of three modes, and `record` is what differs:

    closed    between requests     every write raises StateError
    open      begin() to finish()  `record` takes a packed operation, `undo` an undo entry
    reading   inside of a query    every write raises WriteInQueryError

A mutator first packs, then calls `record` (both may refuse), then `undo`, then changes. So a
refused write has changed nothing. What was taken out of the tree stands in the journal's limbo:
changes of it are undone like the rest, but not recorded.

`finish` refuses what would be lost without a word (the state is a tree, what is stored is a copy):
* a container that was stored, then changed by its old name: the change is not in the state;
* a container that was taken out, then changed, and not put back.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from osupervisor.brain.breath import breathe
from osupervisor.brain.errors import StateError, WriteInQueryError
from osupervisor.brain.packing import array_header
from osupervisor.brain.spot import SPOTS_MAX, Spot, pack, path_of
from osupervisor.brain.undo import Displaced, Order, UndoEntry, restore_orders, taken_out
from osupervisor.brain.values import is_dict
from osupervisor.bridge import packing
from osupervisor.bridge.operations import Key

NO_OPERATIONS: Final = b"\x90"
_ONE_OPERATION: Final = b"\x91"
ORDER_KEPT_MIN: Final = 64
"""Keys from which on a dict's order, once listed for a deletion, is kept for the next deletions."""
BREATH_ENTRIES: Final = 256
"""Undo entries from one breath to the next."""
ORDERS_MAX: Final = 64
"""Dicts whose order is kept; each costs 8 bytes a key."""

Undo = Sequence[UndoEntry]
"""Undo entries of one request, oldest first; opaque to all but the journal."""
Mirror = Callable[[set[str]], None]
"""Called after a request, or a rollback, with the names in `hot` that it changed or removed."""

_NO_UNDO: Final[Undo] = ()


class Limbo:
    """Stands above the containers that were taken out of the tree."""

    __slots__ = (
        "_spot",
        "aliases",
        "dict_class",
        "journal",
        "limbo",
        "list_class",
        "loose",
        "orders",
    )

    _holder: Final = None
    """Nothing is above it: this ends the walk up from a container."""
    _shift: Final = None
    keeps_spots: Final = False
    near: Final = None

    def __init__(self, journal: "Journal") -> None:
        self.journal = journal
        self.limbo = self
        self.dict_class = journal.dict_class
        self.list_class = journal.list_class
        self.aliases = journal.aliases
        self.loose = journal.loose
        self.orders = journal.orders
        self._spot: Spot = (self, b"", pack, b"", 0)

    def record(self, operation: bytes) -> None:
        """Raises outside of a request; keeps nothing."""
        self.journal.check_open(operation)

    def undo(self, entry: UndoEntry) -> None:
        node = entry[1]
        self.loose[id(node)] = node
        self.journal.undo(entry)

    def release(self, node: Any) -> None:
        self.journal.release(node)

    def order_before(self, node: Any, key: Key) -> Order | None:
        return self.journal.order_before(node, key)

    def note_key(self, node: Any, key: Key) -> None:
        self.journal.note_key(node, key)


class Journal:
    """See the module. `record` and `undo` are attributes, as a method would cost a call each."""

    __slots__ = (
        "_mirror",
        "_operations",
        "_record",
        "_refuse",
        "_undo",
        "aliases",
        "dict_class",
        "displaced",
        "hot",
        "hot_changed",
        "limbo",
        "list_class",
        "loose",
        "near",
        "orders",
        "record",
        "spots",
        "undo",
    )

    _holder: Final = None
    _shift: Final = None
    keeps_spots: Final = True

    def __init__(
        self, dict_class: type[Any], list_class: type[Any], mirror: Mirror | None = None
    ) -> None:
        """`dict_class` and `list_class` are what copies are made of."""
        self.dict_class = dict_class
        self.list_class = list_class
        self._mirror = mirror
        self._operations: list[bytes] = []
        self._undo: list[UndoEntry] = []
        self._record: Callable[[bytes], None] = self._operations.append
        self._refuse: Callable[[bytes], None] = refuse_outside
        self.record: Callable[[bytes], None] = refuse_outside
        self.undo: Callable[[UndoEntry], None] = self._undo.append
        self.hot: Any = None
        """The root whose changes the mirror is told."""
        self.hot_changed: set[str] = set()
        self.aliases: list[tuple[bytes, tuple[Key, ...], object, bytes]] = []
        """What was copied into the tree: the operation, keys below its path, itself, its bytes."""
        self.loose: dict[int, Any] = {}
        """Containers changed while they stood in limbo, by id."""
        self.orders: dict[int, tuple[Any, list[Any]]] = {}
        """Large dicts with deletions: the dict, its keys in order of insertion (see `Order`)."""
        self.displaced: Displaced = {}
        """Used by a rollback, empty between them."""
        self.spots: list[Any] = []
        self.near: Any = None
        """Containers that keep their spot (spot.py)."""
        self.limbo = Limbo(self)

    def begin(self) -> None:
        """Open a request; what is written until `finish` or `rollback_open` belongs to it."""
        assert self.record is refuse_outside, "a request begins inside of another"
        self.record = self._record

    def finish(self) -> tuple[bytes, Undo]:
        """Close the request: its operations as a packed array, and what `rollback` takes.

        Raises StateError, and leaves the request open for `rollback_open`, when a change would be
        lost: a container was changed by its old name after it had been stored or taken out.
        """
        undo = self._undo
        if not undo:
            self.record = self._refuse
            return NO_OPERATIONS, _NO_UNDO
        if self.aliases or self.loose:
            self._check_lost()
        operations = self._operations
        if len(operations) == 1:
            packed = _ONE_OPERATION + operations[0]
        else:
            packed = array_header(len(operations)) + b"".join(operations)
        taken = tuple(undo)
        self._start_anew()
        if self.hot_changed:
            self._tell_mirror()
        return packed, taken

    def rollback_open(self) -> None:
        """Undo and close the running request; does nothing when there is none."""
        if self.record is self._refuse:
            return
        undo = tuple(self._undo)
        self._start_anew()
        self.rollback((undo,))

    def rollback(self, undos: Sequence[Undo]) -> None:
        """Undo finished requests; `undos` newest first. Closed before and after."""
        assert self.record is self._refuse, "a rollback inside of a request"
        if self.near is not None:
            self.drop_near()
        breathless = 0
        for undo in undos:
            for entry in reversed(undo):
                entry[0](self, entry)
                if entry[1] is self.hot:
                    self.hot_changed.update(_names(entry))
                breathless += 1
                if breathless == BREATH_ENTRIES:
                    breathless = 0
                    breathe()
        if self.displaced:
            restore_orders(self.displaced)
        self.orders.clear()
        if self.hot_changed:
            self._tell_mirror()

    def start_reading(self) -> None:
        """Begin a query: until `end_reading` a write is refused as one in a query."""
        assert self.record is refuse_outside, "a query begins inside of a request"
        self.record = self._refuse = _refuse_in_query

    def end_reading(self) -> None:
        self.record = self._refuse = refuse_outside

    def __enter__(self) -> None:
        """The journal is a query's context, as another object would cost two calls."""
        self.start_reading()

    def __exit__(self, *_raised: object) -> None:
        self.end_reading()

    def check_open(self, operation: bytes) -> None:
        """Raises StateError or WriteInQueryError unless a request is open."""
        if self.record is self._refuse:
            self._refuse(operation)

    def release(self, node: Any) -> None:
        """The container `node` was taken out of what held it."""
        node._holder = self.limbo
        if self.near is not None:
            self.drop_near()
        if node._spot is not None:
            prefix: bytes = node._spot[3]
            kept: list[Any] = []
            for spotted in self.spots:
                if spotted._spot[3].startswith(prefix):
                    spotted._spot = None
                else:
                    kept.append(spotted)
            self.spots = kept

    def keep_spot(self, node: Any, spot: Spot) -> None:
        """Keep `spot` in `node` until `node`, or what holds it, is taken out."""
        if len(self.spots) >= SPOTS_MAX:
            self._forget_spots()
        else:
            node._spot = spot
            self.spots.append(node)

    def drop_near(self) -> None:
        """An index or a place changed. Call it when `near` isn't None."""
        self.near._spot = None
        self.near = None

    def start_following(self) -> None:
        """Indexes and keys will be changed without the journal; containers still by `release`."""
        if self.near is not None:
            self.drop_near()
        self.orders.clear()

    def order_before(self, node: Any, key: Key) -> Order | None:
        """The order of the keys of the dict `node`, needed to undo the deletion of `key`.

        May be None when `key` is the last one. O(size) at the first deletion; kept for large dicts.
        """
        if self.orders:
            known = self.orders.get(id(node))
            if known is not None and len(known[1]) <= 2 * len(node) + ORDER_KEPT_MIN:
                return known[1], len(known[1])
        if next(reversed(node)) == key:
            return None
        keys = list(node)
        if len(keys) >= ORDER_KEPT_MIN:
            while len(self.orders) >= ORDERS_MAX:
                del self.orders[next(iter(self.orders))]
            self.orders[id(node)] = (node, keys)
        return keys, len(keys)

    def note_key(self, node: Any, key: Key) -> None:
        """`key` was added at the end of the dict `node`. Call it when `orders` isn't empty."""
        known = self.orders.get(id(node))
        if known is not None:
            known[1].append(key)

    def _start_anew(self) -> None:
        self.record = self._refuse
        if self.aliases:
            self.aliases.clear()
        if self.loose:
            self.loose.clear()
        self._operations.clear()
        self._undo.clear()

    def _forget_spots(self) -> None:
        if self.near is not None:
            self.drop_near()
        for node in self.spots:
            node._spot = None
        self.spots.clear()

    def _tell_mirror(self) -> None:
        if self._mirror is not None:
            self._mirror(self.hot_changed)
        self.hot_changed.clear()

    def _check_lost(self) -> None:
        for operation, more, source, before in self.aliases:
            if pack(source) != before:
                raise StateError(
                    (*_path_in(operation), *more),
                    "what was stored here was changed afterwards by its old name",
                    "what is stored is a copy: change the one in the state, or store it last",
                )
        for node in self.loose.values():
            if _top_of(node)._holder is self.limbo:
                raise StateError(
                    self._taken_from(node),
                    "a container that was taken out of the state was changed and not put back",
                    "change a copy: dict(x), list(x) or copy.deepcopy(x)",
                )

    def _taken_from(self, node: Any) -> tuple[Key, ...]:
        """The path from which `node`, or what holds it, was taken in this request."""
        top = _top_of(node)
        for entry in reversed(self._undo):
            for place, value in taken_out(entry):
                if value is top:
                    return path_of(entry[1], place)
        return ("state", top._place)


Book = Journal | Limbo
"""What stands at the top of a container."""


def _top_of(node: Any) -> Any:
    while node._holder._holder is not None:
        node = node._holder
    return node


def _names(entry: UndoEntry) -> list[str]:
    """The keys of a dict that an undo entry concerns."""
    return list(entry[2]) if is_dict(entry[2]) else [entry[2]]


def _path_in(operation: bytes) -> tuple[Key, ...]:
    unpacked: Any = packing.unpack(operation)
    return tuple(unpacked[1])


def refuse_outside(operation: bytes) -> None:
    raise StateError(
        _path_in(operation),
        "written outside of a request",
        "change the state in an @op only, and keep no reference to it elsewhere",
    )


def _refuse_in_query(operation: bytes) -> None:
    raise WriteInQueryError(
        _path_in(operation), "written in a query", "mark the method with @op instead of @query"
    )
