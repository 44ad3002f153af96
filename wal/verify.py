"""Checking a whole log, from its first record to its last."""

from collections.abc import Iterator
from dataclasses import dataclass

from osupervisor.wal import salvage
from osupervisor.wal.salvage import Damage, Whole
from osupervisor.wal.segment import BROKEN_SUFFIX, TMP_SUFFIX, TORN_SUFFIX, segment_name
from osupervisor.wal.storage import Storage
from osupervisor.wal.survey import TornTail


@dataclass(frozen=True, slots=True)
class Part:
    """Records `first_lsn` to `last_lsn` of one segment, all whole, from `offset` to `end`."""

    segment_lsn: int
    offset: int
    end: int
    first_lsn: int
    last_lsn: int

    @property
    def segment(self) -> str:
        return segment_name(self.segment_lsn)


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `leftovers` are files that don't count: torn, broken, half made."""

    parts: tuple[Part, ...]
    damage: tuple[Damage, ...]
    torn: TornTail | None
    leftovers: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Nothing is damaged. A torn tail is what a crash leaves; it is no damage."""
        return not self.damage

    @property
    def records(self) -> int:
        return sum(part.last_lsn - part.first_lsn + 1 for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of whole records."""
        return sum(part.end - part.offset for part in self.parts)


def verify(storage: Storage) -> Report:
    """Check every checksum of every segment; changes nothing. Raises OSError.

    In a log that is being written to, half a record at the end is reported as a torn tail.
    """
    parts: list[Part] = []
    damage: list[Damage] = []
    torn: TornTail | None = None
    for piece in salvage.pieces(storage):
        match piece:
            case Whole():
                _join(parts, piece)
            case Damage():
                damage.append(piece)
            case TornTail():
                torn = piece
    return Report(tuple(parts), tuple(damage), torn, tuple(_leftovers(storage)))


def _join(parts: list[Part], whole: Whole) -> None:
    """Add `whole` to the last part when it follows right behind it."""
    end = whole.offset + sum(map(len, whole.records))
    last_lsn = whole.first_lsn + len(whole.records) - 1
    first = Part(whole.segment_lsn, whole.offset, end, whole.first_lsn, last_lsn)
    if parts:
        before = parts[-1]
        if before.segment_lsn == whole.segment_lsn and before.end == whole.offset:
            first = Part(before.segment_lsn, before.offset, end, before.first_lsn, last_lsn)
            parts.pop()
    parts.append(first)


def _leftovers(storage: Storage) -> Iterator[str]:
    for name in storage.names():
        if name.endswith((TMP_SUFFIX, TORN_SUFFIX)) or BROKEN_SUFFIX in name:
            yield name
