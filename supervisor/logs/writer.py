"""The supervisor's log: JSON lines in a rotated file, and their echo in the foreground.

What is said in one turn of the loop is written together at its end, so that saying costs
a few microseconds and no system call. The file's writes are to the page cache and as good as
never wait. What can't be written (a full disk) is lost and counted, and the next record
that can be written says how many: the log never fails or stops the service. To be used on
the loop's thread.
"""

import time
from collections.abc import Callable
from pathlib import Path

from osupervisor.supervisor.logs.echo import Echo
from osupervisor.supervisor.logs.record import LEVELS, Level, encode
from osupervisor.supervisor.logs.rotated_file import RotatedFile
from osupervisor.supervisor.logs.timestamp import timestamp

BYTES_MAX = 16 * 1024 * 1024
KEPT = 5
# One turn of the loop that says more than this writes before it is over.
BUFFER_BYTES_MAX = 256 * 1024
LOST = "log.lost"

Schedule = Callable[[Callable[[], None]], object]


class LogWriter:
    """`source`: who says it, where a record does not say otherwise."""

    def __init__(
        self,
        path: Path,
        *,
        level: Level = "info",
        bytes_max: int = BYTES_MAX,
        kept: int = KEPT,
        source: str = "supervisor",
        echo: Echo | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`path` is the current file; `clock` is wall time. Raises OSError."""
        self._file = RotatedFile(path, bytes_max, kept)
        self._wanted = frozenset(LEVELS[LEVELS.index(level) :])
        self._source = source
        self._echo = echo
        self._clock = clock
        self._schedule: Schedule | None = None
        self._is_scheduled = False
        self._buffer: list[bytes] = []
        self._buffered_bytes = 0
        self._lost = 0

    @property
    def lost(self) -> int:
        """Records that could not be written, and whose loss is not in the log yet."""
        return self._lost

    def flush_through(self, schedule: Schedule | None) -> None:
        """From now on write what a turn says at its end: `loop.call_soon`. None: at once."""
        self.flush()
        self._schedule = schedule

    def say(self, level: str, message: str, /, **fields: object) -> None:
        """Write it if its level is wanted, or another has said it (`source=` in the fields). Never
        raises, never waits."""
        if level in self._wanted or "source" in fields:
            self.put(level, message, **fields)

    def put(self, level: str, message: str, /, **fields: object) -> None:
        """Write it whatever its level."""
        record: dict[str, object] = {
            "time": timestamp(self._clock()),
            "level": level,
            "source": self._source,
            "message": message,
        }
        record.update(fields)
        line = encode(record)
        self._buffer.append(line)
        self._buffered_bytes += len(line)
        if self._echo is not None:
            self._echo.show(record)
        self._flush_in_time()

    def flush(self) -> None:
        """Write what is buffered. Never raises; what can't be written is lost and counted."""
        self._is_scheduled = False
        if not self._buffer:
            return
        lines, self._buffer, self._buffered_bytes = self._buffer, [], 0
        try:
            self._file.append(b"".join([*self._loss(), *lines]))
        except OSError:
            self._lost += len(lines)
        else:
            self._lost = 0

    def close(self) -> None:
        """Flush and let go of the file. What is said after that is an error of ours."""
        self.flush()
        self._schedule = None
        self._file.close()

    def _flush_in_time(self) -> None:
        if self._schedule is None or self._buffered_bytes > BUFFER_BYTES_MAX:
            self.flush()
        elif not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self.flush)

    def _loss(self) -> list[bytes]:
        if not self._lost:
            return []
        record = {
            "time": timestamp(self._clock()),
            "level": "error",
            "source": self._source,
            "message": LOST,
            "records": self._lost,
        }
        return [encode(record)]
