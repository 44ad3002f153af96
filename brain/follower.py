"""Follows the log: applies the state operations of each commit, in LSN order.

A record is applied when its LSN is the own one plus one. Anything else, a checksum that is wrong,
and an operation that the state can't take, mean that this copy is not the state of its LSN any
more: FollowerError, and the process must end. Records of other kinds count, and tell the epoch;
they change nothing here.

    commit = bin(outcome) bin(ops) bin(effects)           record: wal/record.py
"""

import struct
import zlib
from typing import Final

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.state import StateTree
from osupervisor.wal.record import CRC_START, HEADER_SIZE, OVERHEAD, TRAILER_SIZE, Kind

_HEAD: Final = struct.Struct(">IQIB19xI")
"""length, lsn, epoch, kind and commit length of a record's header."""
_COMMIT: Final = int(Kind.COMMIT)
_NO_OPS_BYTES: Final = 1
_BIN_SIZES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}

assert _HEAD.size + TRAILER_SIZE == HEADER_SIZE


class Follower:
    """The state at `lsn`; `epoch` is that of the record at `lsn` (0 where the log is empty)."""

    __slots__ = ("epoch", "lsn", "tree")

    def __init__(self, tree: StateTree, lsn: int = 0, epoch: int = 0) -> None:
        self.tree = tree
        self.lsn = lsn
        self.epoch = epoch

    def apply(self, records: bytes) -> None:
        """Apply whole records that lie one behind the other, as they came over the port."""
        if zlib.crc32(records, CRC_START) != CRC_START:
            raise FollowerError(f"a checksum is wrong in the records behind LSN {self.lsn}")
        unpack = _HEAD.unpack_from
        at, size, lsn = 0, len(records), self.lsn
        while at + OVERHEAD <= size:
            length, found, epoch, kind, commit_bytes = unpack(records, at)
            after = at + length
            if found != lsn + 1 or after > size:
                break
            if kind == _COMMIT:
                end = after - TRAILER_SIZE
                self.apply_commit(records[end - commit_bytes : end], found)
            lsn = found
            at = after
            self.lsn, self.epoch = lsn, epoch
        if at != size:
            raise FollowerError(f"found {size - at} bytes that are not the record of LSN {lsn + 1}")

    def apply_commit(self, commit: bytes, lsn: int) -> None:
        """Apply the operations of the commit at `lsn`; the own LSN stays."""
        try:
            start, end = _bin_at(commit, _bin_at(commit, 0)[1])
            if end - start > _NO_OPS_BYTES:
                self.tree.apply(commit[start:end])
        except Exception as error:
            raise FollowerError(f"LSN {lsn}: {error}", lsn) from error


def parts_of(commit: bytes) -> tuple[bytes, bytes, bytes]:
    """Outcome, ops and effects of a commit. Raises ValueError for what is no commit."""
    parts: list[bytes] = []
    offset = 0
    for _ in range(3):
        start, offset = _bin_at(commit, offset)
        parts.append(commit[start:offset])
    outcome, ops, effects = parts
    return outcome, ops, effects


def _bin_at(commit: bytes, offset: int) -> tuple[int, int]:
    """Where the content of the MessagePack bin at `offset` begins and ends."""
    try:
        if commit[offset] == 0xC4:
            start = offset + 2
            end = start + commit[offset + 1]
        else:
            start = offset + 1 + _BIN_SIZES[commit[offset]]
            end = start + int.from_bytes(commit[offset + 1 : start], "big")
    except (IndexError, KeyError):
        raise ValueError(f"a commit of {len(commit)} bytes has no bin at {offset}") from None
    if end > len(commit):
        raise ValueError(f"a part ends at {end}, the commit at {len(commit)}")
    return start, end
