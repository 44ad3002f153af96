"""A child that is an operating system process.

    ChildSpec("indexer", start=process(["indexer", "--dir", "data"]), shutdown=2.0)

Spawned by posix_spawn (no Python runs between fork and exec, so threads do no harm) in a
session of its own, with the descriptors of its handshake and nothing else; standard
input is /dev/null. Its death is seen and its signals are sent by pidfd, so that no other
process of the same number is ever hit. Politely is SIGTERM, by force SIGKILL.

    the process                         is an end that is
    ----------------------------------  -------------------------------
    exits with 0                        normal; shutdown where asked
    dies of the signal that asked it    shutdown
    dies of the kill of its supervisor  killed
    exits with another code             exit_code
    dies of another signal              signal
"""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fcntl import F_DUPFD_CLOEXEC, F_GETFD, FD_CLOEXEC, fcntl

from osupervisor.supervisor.tree.cause import KILLED, SHUTDOWN, Cause, CauseKind
from osupervisor.supervisor.tree.child import Handle, Init, Start
from osupervisor.supervisor.tree.exit_status import exit_cause, signal_cause
from osupervisor.supervisor.tree.handshake import Handshake, ReadyLine

FileAction = tuple[int, int] | tuple[int, int, int] | tuple[int, int, str, int, int]
# What Python ignores for itself and a program expects to have its usual effect.
RESTORED_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ)


@dataclass(frozen=True, slots=True)
class Program:
    """What is run. `fds`: its number of a descriptor -> the one here, at each start.

    `environ`: None is a copy of ours. `polite`: what asks it to end.
    """

    argv: Sequence[str]
    environ: Mapping[str, str] | None = None
    fds: Mapping[int, int] = field(default_factory=dict[int, int])
    polite: signal.Signals = signal.SIGTERM


def process(
    program: Program | Sequence[str], handshake: Callable[[], Handshake] = ReadyLine
) -> Start:
    """The start function of a child that is a process running `program`."""
    whole = program if isinstance(program, Program) else Program(tuple(program))

    def start(init: Init) -> Handle:
        return _ProcessChild(init, whole, handshake())

    return start


class _ProcessChild:
    """Raises OSError where the program can't be run."""

    __slots__ = (
        "_failure",
        "_handshake",
        "_init",
        "_is_asked",
        "_is_killed",
        "_pidfd",
        "_polite",
        "pid",
    )

    def __init__(self, init: Init, program: Program, handshake: Handshake) -> None:
        self._init = init
        self._handshake = handshake
        self._polite = program.polite
        self._is_asked = False
        self._is_killed = False
        self._failure: str | None = None
        try:
            self.pid = _spawn(program, handshake)
            self._pidfd = _watch(self.pid)
        except OSError:
            handshake.end()
            raise
        asyncio.get_running_loop().add_reader(self._pidfd, self._died)
        handshake.begin(self)

    def stop(self) -> None:
        self._is_asked = True
        self._signal(self._polite)

    def kill(self) -> None:
        self._is_killed = True
        self._signal(signal.SIGKILL)

    def ready(self, info: object = None) -> None:
        self._init.ready(info)

    def ignore(self) -> None:
        self._init.ignore()

    def fail(self, reason: str) -> None:
        self._failure = reason
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Dead already: its exit is on its way."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def _died(self) -> None:
        """The last word first, then the end."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._handshake.end()
        cause = self._reap()
        os.close(self._pidfd)
        self._init.exited(cause)

    def _reap(self) -> Cause:
        try:
            result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return Cause(CauseKind.ERROR, "somebody else has taken its exit status")
        assert result is not None, "a pidfd is readable when its process has ended"
        if self._failure is not None:
            return Cause(CauseKind.ERROR, self._failure)
        if result.si_code == os.CLD_EXITED:
            is_shutdown = result.si_status == 0 and self._is_asked
            return SHUTDOWN if is_shutdown else exit_cause(result.si_status)
        return self._signal_cause(result.si_status)

    def _signal_cause(self, number: int) -> Cause:
        if self._is_killed and number == signal.SIGKILL:
            return KILLED
        if self._is_asked and number == self._polite:
            return SHUTDOWN
        return signal_cause(number)


def _spawn(program: Program, handshake: Handshake) -> int:
    """Its pid. Raises OSError where it can't be run."""
    environ = {**(os.environ if program.environ is None else program.environ)}
    environ.update(handshake.environ())
    fds = {**program.fds, **handshake.fds()}
    copies: dict[int, int] = {}
    try:
        # Straight dup2 calls, one after another, could overwrite one that is still wanted.
        for number, fd in fds.items():
            copies[number] = fcntl(fd, F_DUPFD_CLOEXEC, max(fds) + 1)
        return os.posix_spawnp(
            program.argv[0],
            list(program.argv),
            environ,
            file_actions=_file_actions(copies),
            setsid=True,
            setsigmask=(),
            setsigdef=RESTORED_SIGNALS,
        )
    finally:
        for copy in copies.values():
            os.close(copy)


def _file_actions(copies: Mapping[int, int]) -> list[FileAction]:
    """Number -> copy, to be done in the program before it runs. The copies close by themselves."""
    actions: list[FileAction] = [
        (os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd > 2 and fd not in copies
    ]
    actions += [(os.POSIX_SPAWN_DUP2, copy, number) for number, copy in copies.items()]
    if 0 not in copies:
        actions.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    return actions


def _inheritable() -> list[int]:
    """What we got from our own parent and nobody has marked: a lock, a socket."""
    found: list[int] = []
    for name in os.listdir("/proc/self/fd"):
        # The listing's own descriptor is closed again by now.
        with suppress(OSError):
            if not fcntl(int(name), F_GETFD) & FD_CLOEXEC:
                found.append(int(name))
    return found


def _watch(pid: int) -> int:
    """Its pidfd. Without one (no descriptors left) it can't be kept: it is ended again."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
