"""Signals as bytes on a pipe: the handlers do nothing, the loop reads."""

import os
import signal

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD)
READ_BYTES = 4096


class SignalQueue:
    """The signals that came, in order; many SIGCHLD may be one."""

    def __init__(self) -> None:
        """Takes the handlers of HANDLED; only the main thread of a process may."""
        self.fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for signum in HANDLED:
            signal.signal(signum, _ignore)

    def read(self) -> list[int]:
        """What came since the last call."""
        try:
            return list(os.read(self.fd, READ_BYTES))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Give the handlers back."""
        signal.set_wakeup_fd(-1)
        for signum in HANDLED:
            signal.signal(signum, signal.SIG_DFL)
        os.close(self.fd)
        os.close(self._write_fd)


def _ignore(signum: int, frame: object) -> None:
    """The wakeup descriptor has the signal already; SIG_IGN would keep it from being written."""
