"""Processes that heart starts and watches."""

import fcntl
import os
import select
import signal
from collections.abc import Mapping, Sequence

from osupervisor.supervisor.heart.listen_environment import FIRST_FD
from osupervisor.supervisor.heart.signal_queue import HANDLED

EXEC_FAILED = 127  # as a shell says it
OPEN_MAX = 1 << 20  # closerange is one system call, whatever the number


class Process:
    """A process and its pidfd. It need not be a child: then nobody learns its exit status."""

    def __init__(self, pid: int, pidfd: int | None = None) -> None:
        """Raises ProcessLookupError where no such process is there and no pidfd is given."""
        self.pid = pid
        self.pidfd = os.pidfd_open(pid) if pidfd is None else pidfd

    def send(self, signum: int) -> None:
        """Send a signal; to a dead process it does nothing."""
        try:
            signal.pidfd_send_signal(self.pidfd, signum)
        except ProcessLookupError:
            return

    def is_dead(self) -> bool:
        """Whether it has ended, reaped or not."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Give the pidfd back."""
        os.close(self.pidfd)


def spawn(command: Sequence[str], environ: Mapping[str, str], fds: Sequence[int]) -> Process:
    """Start a program with these descriptors as 3, 4, ... and no others but 0, 1 and 2.

    It leads a session of its own, so that a Ctrl-C in the terminal reaches heart alone. LISTEN_PID
    and WATCHDOG_PID are set to its process id where LISTEN_FDS and WATCHDOG_USEC are in `environ`.
    Raises OSError when the kernel refuses the fork; a command that can't be run says so on stderr
    and ends with status 127.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(command, dict(environ), fds)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    return Process(pid)


def reap() -> dict[int, int]:
    """The children that have ended: process id to exit status, or minus the signal."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        ended[pid] = os.waitstatus_to_exitcode(status)


def _become(command: Sequence[str], environ: dict[str, str], fds: Sequence[int]) -> None:
    """In the child, signals blocked, as heart's handlers would write its pipe; no return."""
    try:
        for signum in (*HANDLED, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
        os.setsid()
        _place(fds)
        for wanted, name in (("LISTEN_FDS", "LISTEN_PID"), ("WATCHDOG_USEC", "WATCHDOG_PID")):
            if wanted in environ:
                environ[name] = str(os.getpid())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
        os.execvpe(command[0], list(command), environ)
    except BaseException as error:
        os.write(2, f"cannot run {command[0]}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(EXEC_FAILED)


def _place(fds: Sequence[int]) -> None:
    """Put descriptors at 3, 4, ... by way of numbers above: one may lie in another's place."""
    end = FIRST_FD + len(fds)
    above = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, end) for fd in fds]
    for target, fd in enumerate(above, FIRST_FD):
        os.dup2(fd, target, inheritable=True)
    os.closerange(end, OPEN_MAX)
