"""Log lines for whoever started the service in the foreground: text on standard error.

It never waits: a terminal that was stopped or a pipe that nobody reads loses lines, and
the next one that comes through says how many.
"""

import os
import select
from collections.abc import Mapping

from osupervisor.supervisor.logs.record import as_text

# A pipe that polls as writable takes this much at once; more might wait for its reader.
_PIPE_BUF = select.PIPE_BUF


class Echo:
    """`fd` stays its owner's."""

    def __init__(self, fd: int = 2) -> None:
        self._fd = fd
        self._lost = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def show(self, record: Mapping[str, object]) -> None:
        """One line. Never raises."""
        lost = f"({self._lost} lines were lost here)\n" if self._lost else ""
        line = f"{lost}{as_text(record)}".encode()[: _PIPE_BUF - 1]
        whole = line.decode(errors="ignore").encode()  # without half a character at its end
        self._lost = 0 if self._write(whole + b"\n") else self._lost + 1

    def _write(self, line: bytes) -> bool:
        try:
            ready = self._poll.poll(0)
            return bool(ready) and bool(ready[0][1] & select.POLLOUT) and self._whole(line)
        except OSError:
            return False

    def _whole(self, line: bytes) -> bool:
        return os.write(self._fd, line) == len(line)
