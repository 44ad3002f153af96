"""Records looked up by LSN: outcomes too large to be kept in memory are read back from the log.

A segment has no index. A look-up walks from the nearest place that an earlier one passed, and
remembers one place for each block on its way. So the first look-up in a full segment costs up to
some 60 ms, later ones there about 1 ms.
"""

import bisect
import contextlib
from collections import OrderedDict
from operator import itemgetter
from typing import Final

from osupervisor.wal import record, scan, segment
from osupervisor.wal.errors import CorruptRecordError
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.record import Record
from osupervisor.wal.segment import SEGMENT_HEADER_SIZE, segment_name
from osupervisor.wal.storage import LogFile, Storage

# A full segment has 256 blocks: places of so many segments take about 2 MB.
SEGMENTS_KNOWN: Final = 64


class Finder:
    """Finds records of one log, also while it is written to."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._places: OrderedDict[int, list[tuple[int, int]]] = OrderedDict()

    def find(self, lsn: int) -> Record | None:
        """Record `lsn`; None when the log doesn't hold it, or no longer.

        Raises CorruptRecordError or CorruptSegmentError where the log is damaged, OSError.
        """
        firsts = segment_lsns(self._storage)
        at = bisect.bisect_right(firsts, lsn) - 1
        if at < 0:
            return None
        try:
            file = self._storage.open(segment_name(firsts[at]))
        except FileNotFoundError:  # it was just removed: the tape no longer reaches back so far
            return None
        with contextlib.closing(file):
            return self._find(file, firsts[at], lsn)

    def _find(self, file: LogFile, segment_lsn: int, lsn: int) -> Record | None:
        places = self._places_of(file, segment_lsn)
        start_lsn, offset = places[bisect.bisect_right(places, lsn, key=itemgetter(0)) - 1]
        blocks, stop = scan.collect(
            scan.runs(file, offset, start_lsn, lsn - 1, scan.OPEN_END, scan.walk_over)
        )
        for after, length in blocks:
            offset += length
            if after > places[-1][0]:
                places.append((after, offset))
        if stop.reason is None:
            raw, stop = scan.collect(
                scan.runs(file, stop.offset, lsn, lsn, scan.OPEN_END, scan.walk_raw)
            )
            if raw:
                return record.unpack(raw[0])
        if start_lsn != segment_lsn:  # the file was replaced since: its places are others
            del self._places[segment_lsn]
            return self._find(file, segment_lsn, lsn)
        if stop.clean:
            return None
        raise CorruptRecordError(stop.offset, stop.reason or "it is missing", stop.lsn)

    def _places_of(self, file: LogFile, segment_lsn: int) -> list[tuple[int, int]]:
        """(LSN, offset) of known records of a segment, ascending; its first one at least."""
        if segment_lsn not in self._places:
            segment.decode_header(file.read(0, SEGMENT_HEADER_SIZE), file.name, segment_lsn)
            self._places[segment_lsn] = [(segment_lsn, SEGMENT_HEADER_SIZE)]
        self._places.move_to_end(segment_lsn)
        if len(self._places) > SEGMENTS_KNOWN:
            self._places.popitem(last=False)
        return self._places[segment_lsn]
