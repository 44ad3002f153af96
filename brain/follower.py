"""Follows the log: applies the state operations of each commit, in LSN order.

A record is applied when its LSN is the own one plus one. Anything else, a checksum that is wrong,
and an operation that the state can't take, mean that this copy is not the state of its LSN any
more: FollowerError, and the process must end. Records of other kinds count, and tell the epoch;
they change nothing here.

    commit = bin(outcome) bin(ops) bin(effects)           record: wal/record.py
"""

import struct
import zlib
from collections.abc import Iterable
from typing import Final

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.state import StateTree
from osupervisor.wal.record import CRC_START, HEADER_SIZE, OVERHEAD, TRAILER_SIZE, Kind

_HEAD: Final = struct.Struct(">IQIB19xI")
"""length, lsn, epoch, kind and commit length of a record's header."""
_COMMIT: Final = int(Kind.COMMIT)
_BIN8: Final = 0xC4
_BIN_SIZES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
NO_OPS: Final = b"\x90"

Commit = tuple[int, int, bytes]
"""LSN, epoch and the commit's bytes."""

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
        commits: list[Commit] = []
        unpack = _HEAD.unpack_from
        at, size, lsn, epoch = 0, len(records), self.lsn, self.epoch
        while at + OVERHEAD <= size:
            length, found, epoch_found, kind, commit_bytes = unpack(records, at)
            after = at + length
            if found != lsn + 1 or after > size:
                break
            if kind == _COMMIT:
                end = after - TRAILER_SIZE
                commits.append((found, epoch_found, records[end - commit_bytes : end]))
            at, lsn, epoch = after, found, epoch_found
        if at != size:
            raise FollowerError(f"found {size - at} bytes that are not the record of LSN {lsn + 1}")
        self.apply_commits(commits)
        self.lsn, self.epoch = lsn, epoch

    def apply_commits(self, commits: Iterable[Commit]) -> None:
        """Apply the operations of (LSN, epoch, commit) in order; become the state of the last.

        A follower that starts applies millions: most have an outcome and operations of under 256
        bytes, and are taken apart here without a call.
        """
        apply = self.tree.apply
        lsn, epoch = self.lsn, self.epoch
        try:
            for lsn, epoch, commit in commits:  # noqa: B007  the last are told below
                if commit[0] == _BIN8:
                    at = commit[1] + 2
                    if commit[at] == _BIN8:
                        at += 2
                        ops = commit[at : at + commit[at - 1]]
                    else:
                        ops = parts_of(commit)[1]
                else:
                    ops = parts_of(commit)[1]
                if ops != NO_OPS:
                    apply(ops)
        except (FollowerError, ValueError, IndexError) as error:
            raise FollowerError(f"LSN {lsn}: {error}", lsn) from error
        self.lsn, self.epoch = lsn, epoch


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
        start = offset + 1 + _BIN_SIZES[commit[offset]]
    except (IndexError, KeyError):
        raise ValueError(f"a commit of {len(commit)} bytes has no bin at {offset}") from None
    end = start + int.from_bytes(commit[offset + 1 : start], "big")
    if end > len(commit):
        raise ValueError(f"a part ends at {end}, the commit at {len(commit)}")
    return start, end
