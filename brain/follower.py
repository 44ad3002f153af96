"""Follows the log: applies the state operations of each commit, in LSN order.

A record is applied when its LSN is the own one plus one. Anything else, and an operation that the
state can't take, means that this copy is not the state of its LSN any more: FollowerError, and the
process must end. Records of other kinds count, and tell the epoch; they change nothing here.

    commit = bin(outcome) bin(ops) bin(effects)
"""

from typing import Any

from osupervisor.brain.errors import FollowerError
from osupervisor.brain.state import StateTree
from osupervisor.wal.record import Kind, decode


class Follower:
    """The state at `lsn`; `epoch` is that of the record at `lsn` (0 where the log is empty)."""

    __slots__ = ("epoch", "lsn", "tree")

    def __init__(self, tree: StateTree, lsn: int = 0, epoch: int = 0) -> None:
        self.tree = tree
        self.lsn = lsn
        self.epoch = epoch

    def apply(self, records: bytes) -> None:
        """Apply whole records that lie one behind the other."""
        offset = 0
        while offset < len(records):
            found = decode(records, offset)
            if found is None:
                raise FollowerError(f"half a record behind LSN {self.lsn}")
            record, offset = found
            if record.lsn != self.lsn + 1:
                raise FollowerError(f"found LSN {record.lsn}, wanted {self.lsn + 1}")
            if record.kind is Kind.COMMIT:
                self.apply_commit(record.commit, record.lsn)
            self.lsn = record.lsn
            self.epoch = record.epoch

    def apply_commit(self, commit: bytes | memoryview, lsn: int) -> None:
        try:
            ops = ops_of(commit)
            if len(ops) > 1:
                self.tree.apply(ops)
        except Exception as error:
            raise FollowerError(
                f"LSN {lsn}: its operations can't be applied: {type(error).__name__}: {error}"
            ) from error


def ops_of(commit: bytes | memoryview) -> bytes:
    """The packed state operations of a commit. Raises ValueError for what is no commit."""
    start, end = _bin_at(commit, _bin_at(commit, 0)[1])
    return bytes(commit[start:end])


def parts_of(commit: bytes | memoryview) -> tuple[bytes, bytes, bytes]:
    """Outcome, ops and effects of a commit. Raises ValueError for what is no commit."""
    parts: list[bytes] = []
    offset = 0
    for _ in range(3):
        start, offset = _bin_at(commit, offset)
        parts.append(bytes(commit[start:offset]))
    outcome, ops, effects = parts
    return outcome, ops, effects


def _bin_at(commit: Any, offset: int) -> tuple[int, int]:
    """Where the content of the MessagePack bin at `offset` begins and ends."""
    if offset >= len(commit):
        raise ValueError(f"a commit of {len(commit)} bytes ends before its three parts")
    size_bytes = _BIN_SIZES.get(commit[offset])
    if size_bytes is None:
        raise ValueError(f"found byte {commit[offset]:#x} at {offset}, wanted a bin")
    start = offset + 1 + size_bytes
    end = start + int.from_bytes(commit[offset + 1 : start], "big")
    if end > len(commit):
        raise ValueError(f"a part ends at {end}, the commit at {len(commit)}")
    return start, end


_BIN_SIZES = {0xC4: 1, 0xC5: 2, 0xC6: 4}
