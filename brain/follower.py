"""Follows the log: applies the state operations of each commit, in LSN order.

A record is applied when its LSN is the own one plus one. Anything else, a checksum that is wrong,
and an operation that the state can't take, mean that this copy is not the state of its LSN any
more: FollowerError, and the process must end. Records of other kinds count, and tell the epoch;
they change nothing here.

    commit = bin(outcome) bin(ops) bin(effects)           record: wal/record.py
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.state import StateTree
from osupervisor.wal.checksum import crc32
from osupervisor.wal.record import CRC_START, HEADER_SIZE, OVERHEAD, TRAILER_SIZE, Kind
from osupervisor.wal.scan import LSN_MAX

_HEAD: Final = struct.Struct(">IQIB19xI")
"""length, lsn, epoch, kind and commit length of a record's header."""
_COMMIT: Final = int(Kind.COMMIT)
_BIN8: Final = 0xC4
_BIN_SIZES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
NO_OPS: Final = b"\x90"

MALFORMED: Final = b"\xc1"
"""Stands for the operations of a commit that is none: no MessagePack begins so, and applying it
fails."""

assert _HEAD.size + TRAILER_SIZE == HEADER_SIZE


@dataclass(frozen=True, slots=True)
class Run:
    """Records in a row: the operations of each, `NO_OPS` where it has none, and the last epoch."""

    epoch: int
    operations: list[bytes]


class Follower:
    """The state at `lsn`; `epoch` is that of the record at `lsn` (0 where the log is empty)."""

    __slots__ = ("epoch", "lsn", "tree")

    def __init__(self, tree: StateTree, lsn: int = 0, epoch: int = 0) -> None:
        self.tree = tree
        self.lsn = lsn
        self.epoch = epoch

    def apply(self, records: bytes) -> None:
        """Apply whole records that lie one behind the other, as they came over the port."""
        if crc32(records, CRC_START) != CRC_START:
            raise FollowerError(f"a checksum is wrong in the records behind LSN {self.lsn}")
        runs, at, lsn = walk_operations(records, self.lsn + 1, LSN_MAX)
        if at != len(records):
            raise FollowerError(
                f"found {len(records) - at} bytes that are not the record of LSN {lsn}"
            )
        self.apply_runs(runs)

    def apply_runs(self, runs: Iterable[Run]) -> None:
        """Apply the records behind the own LSN, in order; become the state of the last."""
        apply_all = self.tree.apply_all
        for run in runs:
            if run.operations:
                apply_all(run.operations, self.lsn + 1)
                self.lsn += len(run.operations)
                self.epoch = run.epoch


def walk_operations(data: bytes, lsn: int, last_lsn: int) -> tuple[list[Run], int, int]:
    """A scan's Walk: what a follower wants of each record, all kinds, as one run.

    A follower that starts walks over millions: most commits have an outcome and operations of under
    256 bytes, and are taken apart here without a call.
    """
    operations: list[bytes] = []
    unpack = _HEAD.unpack_from
    at, size, last_at = 0, len(data), len(data) - OVERHEAD
    epoch = 0
    length: int
    found: int
    epoch_found: int
    kind: int
    commit_bytes: int
    while at <= last_at and lsn <= last_lsn:
        length, found, epoch_found, kind, commit_bytes = unpack(data, at)
        after = at + length
        if found != lsn or length < OVERHEAD or after > size:
            break
        if kind != _COMMIT:
            operations.append(NO_OPS)
        else:
            end: int = after - TRAILER_SIZE
            start: int = end - commit_bytes
            ops: int = start + 4 + data[start + 1] if start > at else end
            if (
                ops < end
                and data[start] == _BIN8
                and data[ops - 2] == _BIN8
                and (ops_end := ops + data[ops - 1]) <= end
            ):
                operations.append(data[ops:ops_end])
            elif start > at:
                operations.append(_operations_of(data[start:end]))
            else:
                operations.append(MALFORMED)
        at, epoch = after, epoch_found
        lsn += 1
    return [Run(epoch, operations)], at, lsn


def _operations_of(commit: bytes) -> bytes:
    try:
        return parts_of(commit)[1]
    except ValueError:
        return MALFORMED


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
