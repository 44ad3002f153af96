"""The newest records, in memory: all above the durable LSN, and as many before as fit. Pure."""

from collections import deque


class Ring:
    """Whole records in LSN order without gaps, bounded in bytes; it serves followers and reopen."""

    __slots__ = ("_records", "size_bytes", "bytes_max", "first")

    def __init__(self, bytes_max: int, first: int) -> None:
        self.bytes_max = bytes_max
        self.size_bytes = 0
        self.first = first
        """LSN of the oldest record held; with none held, of the next one."""
        self._records: deque[bytes] = deque()

    def append(self, record: bytes) -> None:
        self._records.append(record)
        self.size_bytes += len(record)

    def trim(self, durable: int) -> None:
        """Let go of the oldest while there are too many, never of one above `durable`."""
        records = self._records
        while self.size_bytes > self.bytes_max and self.first <= durable and records:
            self.size_bytes -= len(records.popleft())
            self.first += 1

    def holds(self, lsn: int) -> bool:
        """Whether every record from `lsn` on is here (also when there is none yet)."""
        return lsn >= self.first

    def since(self, lsn: int) -> list[bytes]:
        """The records from `lsn` on, in order."""
        skip = lsn - self.first
        assert skip >= 0, f"lsn {lsn} is older than the ring's {self.first}"
        if 2 * skip < len(self._records):
            return list(self._records)[skip:]
        newest = len(self._records) - skip
        return [self._records[i] for i in range(-newest, 0)]
