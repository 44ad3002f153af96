"""The journal of the running request: its packed operations, and how to undo them.

A tree has one journal. It stands above the two roots, so that a container that walks up to find its path
finds its journal as well. It is in one of three modes, and `record` is what differs:

    closed    between requests     every write raises StateError
    open      begin() to finish()  `record` and `undo` take one entry each for every change
    reading   inside of a query    every write raises WriteInQueryError

A mutator first locates itself, then calls `record` (which may refuse), then `undo`, then changes. So a
refused write has changed nothing. A container that was taken out of the tree stands in the journal's
limbo: what happens to it is undone like the rest, but not recorded.

`finish` refuses what would be lost without a word (the state is a tree, what is stored is a copy):
* a container that was stored, then changed by its old name: the change is not in the state;
* a container that was taken out, then changed, and not put back.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from osupervisor.brain.errors import StateError, WriteInQueryError
from osupervisor.brain.packing import array_header
from osupervisor.brain.undo import Order, Rollback
from osupervisor.bridge import operations, packing
from osupervisor.bridge.operations import Key

NO_OPERATIONS: Final = b"\x90"
ORDER_KEPT_MIN: Final = 64
"""Keys from which on a dict's order, once listed for a deletion, is kept for the next deletions."""
ORDERS_MAX: Final = 64
"""Dicts whose order is kept; each costs 8 bytes a key."""

Undo = list[tuple[Any, ...]]
"""Undo entries of one request, oldest first; opaque to all but this folder's journal."""

pack: Final[Callable[[object], bytes]] = packing.new_packer().pack
"""One packer for all operations; a brain has one thread."""


class Limbo:
    """Stands above containers that were taken out of the tree; holds back their operations."""

    __slots__ = ("aliases", "journal", "limbo", "loose", "orders")

    holder: Final = None
    """Nothing is above it: this ends the walk up from a container."""

    def __init__(self, journal: "Journal") -> None:
        self.journal = journal
        self.limbo = self
        self.aliases = journal.aliases
        self.loose = journal.loose
        self.orders = journal.orders

    def record(self, operation: bytes) -> None:
        self.journal.check_open(operation)

    def undo(self, entry: tuple[Any, ...]) -> None:
        node = entry[1]
        self.journal.loose[id(node)] = node
        self.journal.undo(entry)

    def order_before(self, node: Any, key: Key) -> Order | None:
        return self.journal.order_before(node, key)

    def note_key(self, node: Any, key: Key) -> None:
        self.journal.note_key(node, key)


class Journal:
    """See the module. `record` and `undo` are attributes, as a method would cost a call each."""

    __slots__ = (
        "_operations",
        "_refuse",
        "_undo",
        "aliases",
        "limbo",
        "loose",
        "orders",
        "record",
        "undo",
    )

    holder: Final = None

    def __init__(self) -> None:
        self.aliases: list[tuple[list[Any], object, bytes]] = []
        """What was copied into the tree: its path then, itself, and how it packed then."""
        self.loose: dict[int, Any] = {}
        """Containers changed while they stood in limbo, by id."""
        self.orders: dict[int, tuple[Any, list[Any]]] = {}
        """Large dicts with deletions: the dict, its keys in order of insertion (see `Order`)."""
        self.limbo = Limbo(self)
        self._operations: list[bytes] = []
        self._undo: Undo = []
        self._refuse: Callable[[bytes], None] = _refuse_outside
        self.record: Callable[[bytes], None] = _refuse_outside
        self.undo: Callable[[tuple[Any, ...]], None] = self._undo.append

    @property
    def is_open(self) -> bool:
        return self.record is not self._refuse

    def begin(self) -> None:
        """Closed to open."""
        assert self.record is _refuse_outside, "a request begins inside of another"
        self._operations = operations_ = []
        self._undo = undo = []
        self.record = operations_.append
        self.undo = undo.append

    def finish(self) -> tuple[bytes, Undo]:
        """Open to closed: the packed operations of the request, and how to undo it.

        Raises StateError, and stays open, when a change would be lost.
        """
        packed = self._operations
        if self.aliases or self.loose:
            self._check_lost()
            self.aliases.clear()
            self.loose.clear()
        self.record = self._refuse
        if not packed:
            return NO_OPERATIONS, self._undo
        return array_header(len(packed)) + b"".join(packed), self._undo

    def rollback_open(self) -> None:
        """Open to closed: undo what the request did. Does nothing when closed."""
        if self.record is self._refuse:
            return
        self.record = self._refuse
        self.aliases.clear()
        self.loose.clear()
        self.rollback([self._undo])
        self._undo = []

    def rollback(self, undos: Sequence[Undo]) -> None:
        """Undo finished requests; `undos` newest first."""
        assert self.record is self._refuse, "a rollback inside of a request"
        walk = Rollback(self.limbo)
        for undo in undos:
            for entry in reversed(undo):
                entry[0](walk, *entry[1:])
        walk.restore_orders()
        self.orders.clear()

    def start_reading(self) -> None:
        """Closed to reading."""
        assert self.record is _refuse_outside, "a query begins inside of a request"
        self.record = self._refuse = _refuse_in_query

    def stop_reading(self) -> None:
        self.record = self._refuse = _refuse_outside

    def check_open(self, operation: bytes) -> None:
        """Raises StateError or WriteInQueryError unless a request is open."""
        if self.record is self._refuse:
            self.record(operation)

    def order_before(self, node: Any, key: Key) -> Order | None:
        """The order of the keys of the dict `node`, needed to undo the deletion of `key`.

        None when `key` is the last one. O(size) at the first deletion, then kept for large dicts.
        """
        if next(reversed(node)) == key:
            return None
        known = self.orders.get(id(node))
        if known is not None and len(known[1]) <= 2 * len(node) + ORDER_KEPT_MIN:
            return known[1], len(known[1])
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

    def _check_lost(self) -> None:
        for path, source, before in self.aliases:
            if pack(source) != before:
                raise StateError(
                    tuple(path),
                    "what was stored here was changed afterwards by its old name",
                    "what is stored is a copy: change the one in the state, or store it last",
                )
        for node in self.loose.values():
            if _stands_in(node, self.limbo):
                raise StateError(
                    self._removed_from(node),
                    "a container that was taken out of the state was changed and not put back",
                    "change a copy: dict(x), list(x) or copy.deepcopy(x)",
                )

    def _removed_from(self, node: Any) -> tuple[Key, ...]:
        """The path of the change that took `node`, or what holds it, out; from the undo entries."""
        top = node
        while top.holder.holder is not None:
            top = top.holder
        for entry in reversed(self._undo):
            if any(value is top for value in _values(entry[2:])):
                return (*path_of(entry[1]), top.place)
        return ("state", "...", top.place)


def path_of(node: Any) -> list[Key]:
    """The path of a container as it stands now."""
    path: list[Key] = []
    while (holder := node.holder) is not None:
        path.append(holder.place_of(node) if isinstance(holder, list) else node.place)  # type: ignore[attr-defined]
        node = holder
    path.reverse()
    return path


def _stands_in(node: Any, top: Limbo) -> bool:
    while node.holder is not None:
        node = node.holder
    return node is top


def _values(arguments: tuple[Any, ...]) -> list[Any]:
    """Old values among the arguments of an undo entry: as they are, or in a list or dict."""
    found: list[Any] = list(arguments)
    for argument in arguments:
        if type(argument) is list:
            found.extend(argument)
        elif type(argument) is dict:
            found.extend(argument.values())
    return found


def _where(operation: bytes) -> tuple[Key, ...]:
    return tuple(operations.packing.unpack(operation)[1])  # type: ignore[index]


def _refuse_outside(operation: bytes) -> None:
    raise StateError(
        _where(operation),
        "written outside of a request",
        "change the state in an @op only, and keep no reference to it elsewhere",
    )


def _refuse_in_query(operation: bytes) -> None:
    raise WriteInQueryError(
        _where(operation), "written in a query", "mark the method with @op instead of @query"
    )
