"""Standard output and error of a brain: a pipe to the supervisor that never blocks and never fails.

What an op prints is for people. Where nobody reads, or not fast enough, it is dropped and counted:
an op must not wait for a log file, nor see whether one is there. The writers are installed in the
nursery, before the author's code is imported: what that code keeps of `sys.stderr` (a logging
handler does) is then one of them too. Each process puts a pipe of its own under them.
"""

import io
import os
import sys
from typing import Any, Final

BUFFER_BYTES: Final = 8_192


class DroppingWriter(io.RawIOBase):
    """Writes to a non-blocking descriptor; what does not fit is dropped, and later said so."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.dropped_bytes = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any, /) -> int:
        """Always the length of `data`."""
        view = memoryview(data).cast("B")
        if self.dropped_bytes and self._put(b"[%d bytes of output dropped]\n" % self.dropped_bytes):
            self.dropped_bytes = 0
        written = self._put(view)
        self.dropped_bytes += len(view) - written
        return len(view)

    def _put(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return 0


def install() -> None:
    """Replace `sys.stdout` and `sys.stderr` by writers that drop what can't be written at once."""
    flush()
    sys.stdout = _text(1)
    sys.stderr = _text(2)


def flush() -> None:
    """Hand on what is buffered; to be called before a fork, else both processes print it."""
    sys.stdout.flush()
    sys.stderr.flush()


def take_output(descriptor: int) -> None:
    """Make `descriptor`, a pipe, the process's standard output and error, and close it."""
    flush()
    os.set_blocking(descriptor, False)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    if descriptor > 2:
        os.close(descriptor)


def take_no_input() -> None:
    """Standard input at its end from the start."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)


def _text(descriptor: int) -> io.TextIOWrapper:
    buffered = io.BufferedWriter(DroppingWriter(descriptor), BUFFER_BYTES)
    return io.TextIOWrapper(
        buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )
