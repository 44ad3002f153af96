"""Heart's own messages: JSON lines in `<data>/logs/heart.log`, and in the foreground on stderr too.

A line is {"time": RFC 3339 UTC, "level": ..., "source": "heart", "message": ...}. In the
background the file is also the supervisor's stderr, so that a traceback from before its own log is
open is found there. The file is rotated before a supervisor starts, never below a running one.
Writing never blocks and never fails heart: a full disk or a pipe nobody reads loses the message.
"""

import os
import select
import time

MESSAGE_BYTES_MAX = 2000  # below PIPE_BUF (4096): a pipe that polls writable takes it at once
TAIL_BYTES = 4096


class Journal:
    """Where heart says what it does."""

    def __init__(self, data: str, foreground: bool, bytes_max: int, kept: int) -> None:
        """Opens the file; where that fails, messages go to stderr alone, and say so."""
        self._path = os.path.join(data, "logs", "heart.log")
        self._foreground = foreground
        self._bytes_max = bytes_max
        self._kept = kept
        self._mark = 0
        self.fd: int | None = None
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            self._open()
        except OSError as error:
            self._foreground = True
            self.say("warning", f"{self._path}: {error.strerror}; messages go to stderr alone")

    def say(self, level: str, message: str) -> None:
        """Write one message."""
        text = message.encode("utf-8", "replace")[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore")
        if self.fd is not None:
            moment = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
            line = (
                f'{{"time":"{stamp}.{int(moment % 1 * 1000):03d}Z","level":"{level}",'
                f'"source":"heart","message":{json_string(text)}}}\n'
            )
            _write(self.fd, line)
        if self._foreground:
            _write(2, f"heart: {text}\n")

    def rotate(self) -> None:
        """Start a new file if the present one has grown too large; a failure leaves the old one."""
        try:
            if self.fd is not None and os.fstat(self.fd).st_size > self._bytes_max:
                for number in range(self._kept, 1, -1):
                    _rename(f"{self._path}.{number - 1}", f"{self._path}.{number}")
                _rename(self._path, f"{self._path}.1")
                self._open()
        except OSError:
            return

    def mark(self) -> None:
        """From here on the file's new lines are the next supervisor's."""
        self._mark = os.fstat(self.fd).st_size if self.fd is not None else 0

    def last_words(self) -> str:
        """The last line since the mark that isn't heart's own; empty where there is none."""
        if self.fd is None:
            return ""
        size = os.fstat(self.fd).st_size
        start = max(self._mark, size - TAIL_BYTES)
        tail = os.pread(self.fd, max(0, size - start), start).decode("utf-8", "replace")
        lines = [line.strip() for line in tail.splitlines() if '"source":"heart"' not in line]
        return next((line for line in reversed(lines) if line), "")

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        if self.fd is not None:
            os.close(self.fd)
        self.fd = fd
        if not self._foreground:
            os.dup2(fd, 1)
            os.dup2(fd, 2)


def json_string(text: str) -> str:
    """The text as a JSON string; by hand, as `json` costs 1 MB."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _rename(source: str, target: str) -> None:
    try:
        os.replace(source, target)
    except FileNotFoundError:
        pass


def _write(fd: int, line: str) -> None:
    try:
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        if poll.poll(0):
            os.write(fd, line.encode())
    except OSError:
        return  # nowhere to complain
