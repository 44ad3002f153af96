"""Where a container stands: its path, packed, and the journal above it.

    spot = (journal, head, pack_key, prefix, depth)

    journal    what the walk up ended at: the Journal, or the Limbo for what was taken out
    head       for a dict the operation SET up to the key, for a list APPEND up to the value
    pack_key   packs the last key of SET
    prefix     the packed keys of the container's path, without the array's header
    depth      how many keys these are

An operation is put together from bytes: a head from one of the tables below, prefix, the rest.

A spot is kept in the slot `_spot` of its container where that is worth it:
* for good in the roots;
* in `journal.spots`: in what is reached from a root through dicts of few keys. They form a tree
  from the root down, so a container without one has none below it: to take it out needs no search;
* in `journal.near`: in the last container that was written and isn't of these, such as a record of
  a big table. Whatever moves a container or an index drops it.
"""

from collections.abc import Callable
from typing import Any, Final

from osupervisor.brain.packing import array_header
from osupervisor.bridge import packing
from osupervisor.bridge.operations import DEPTH_MAX, Opcode

SMALL_DICT_KEYS_MAX: Final = 64
"""What stands in a larger dict is one of many, and keeps no spot."""
SPOTS_MAX: Final = 256
"""Spots kept at a time; one more drops all."""
KEYS_KNOWN_MAX: Final = 4096
"""Packed keys kept; one more drops all."""

Spot = tuple[Any, bytes, Callable[[Any], bytes], bytes, int]

pack: Final[Callable[[object], bytes]] = packing.new_packer().pack
"""One packer for all operations; a brain has one thread."""


class KnownKeys(dict[Any, bytes]):
    """Packed keys by key; field names of records are packed once."""

    def __missing__(self, key: Any) -> bytes:
        if len(self) >= KEYS_KNOWN_MAX:
            self.clear()
        packed = self[key] = pack(key)
        return packed


pack_known: Final[Callable[[Any], bytes]] = KnownKeys().__getitem__


def _heads(opcode: Opcode, members: int, keys_more: int) -> tuple[bytes, ...]:
    """The packed beginning of an operation, up to its path's keys, by the container's depth."""
    start = array_header(members) + bytes((opcode,))
    return tuple(start + array_header(depth + keys_more) for depth in range(DEPTH_MAX + 2))


SET: Final = _heads(Opcode.SET, 3, 1)
DELETE: Final = _heads(Opcode.DELETE, 2, 1)
CLEAR: Final = _heads(Opcode.CLEAR, 2, 0)
MERGE: Final = _heads(Opcode.MERGE, 3, 0)
APPEND: Final = _heads(Opcode.APPEND, 3, 0)
EXTEND: Final = _heads(Opcode.EXTEND, 3, 0)
INSERT: Final = _heads(Opcode.INSERT, 3, 1)
SPLICE: Final = _heads(Opcode.SPLICE, 5, 0)
REVERSE: Final = _heads(Opcode.REVERSE, 2, 0)
REORDER: Final = _heads(Opcode.REORDER, 3, 0)
INCREMENT: Final = _heads(Opcode.INCREMENT, 3, 1)


def root_spot(journal: Any, name: str) -> Spot:
    """The spot of a root; kept for good."""
    prefix = pack(name)
    return journal, SET[1] + prefix, pack, prefix, 1


def spot_of(node: Any) -> Spot:
    """The spot of a container that keeps none; it may keep it from now on."""
    holder = node._holder
    above: Spot = holder._spot or spot_of(holder)
    journal, _, pack_key, prefix, depth = above
    shift = holder._shift
    if shift is None:
        prefix += pack_key(node._place)
    else:
        at = node._place - shift
        if not 0 <= at < len(holder) or holder[at] is not node:
            at = place_in(holder, node)
        prefix += pack(at)
    if node._shift is None:
        pack_key = pack_known if len(node) <= SMALL_DICT_KEYS_MAX else pack
        spot = (journal, SET[depth + 1] + prefix, pack_key, prefix, depth + 1)
    else:
        spot = (journal, APPEND[depth + 1] + prefix, pack, prefix, depth + 1)
    if journal.keeps_spots:
        near = journal.near
        if (
            shift is None
            and holder._spot is not None
            and holder is not near
            and len(holder) <= SMALL_DICT_KEYS_MAX
        ):
            journal.keep_spot(node, spot)
        else:
            if near is not None:
                near._spot = None
            node._spot = spot
            journal.near = node
    return spot


def place_in(items: Any, node: Any) -> int:
    """The index of `node` in the tracked list `items`, found outward from its hint."""
    length = len(items)
    at: int = node._place - items._shift
    if 0 <= at < length and items[at] is node:
        return at
    below = min(max(at, 0), length - 1)
    above = below + 1
    while below >= 0 or above < length:
        if below >= 0 and items[below] is node:
            above = below
            break
        if above < length and items[above] is node:
            break
        below -= 1
        above += 1
    assert above < length, "a container isn't in the list that holds it"
    node._place = above + items._shift
    return above


def path_of(node: Any, *more: Any) -> tuple[Any, ...]:
    """The path of a container as it stands now, then the keys `more`; for messages."""
    path = list(reversed(more))
    while (holder := node._holder) is not None:
        path.append(node._place if holder._shift is None else place_in(holder, node))
        node = holder
    return tuple(reversed(path))
