"""The nursery: imports the brain's code once and forks brains from it.

    python -m osupervisor.brain.nursery TARGET [FD]    FD (3): SOCK_SEQPACKET to the supervisor

    N>S ["ready", version, schema] | ["failed", text]
    S>N ["spawn", brain_id] + port, line, hot segment, output     N>S ["spawned", brain_id, pid]
    N>S ["exited", pid, status]    status as os.waitpid gives it

One thread, no event loop, everything imported frozen for the collector, so that a fork is safe and
cheap. It is the subreaper: brains that brains forked end at it too. At end of file on FD it exits;
its brains live on. With its parent it ends whatever it does. `schema` may be longer than a
datagram: then it is nil, and comes with the first brain's `ready`.
"""

import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any, Final, NoReturn

from osupervisor.brain import diagnostics, output, worker
from osupervisor.brain.errors import LoadError
from osupervisor.brain.fork import fork_child
from osupervisor.brain.line import close_all
from osupervisor.brain.loader import Loaded, load_target
from osupervisor.bridge import line
from osupervisor.bridge.errors import LocalProtocolError

CONTROL_FD: Final = 3
DESCRIPTORS_PER_BRAIN: Final = 4
FAILURE_CHARACTERS_MAX: Final = 16_000
"""Under a datagram's 64 KiB, whatever the characters."""
EXIT_FAILED: Final = 78
"""EX_CONFIG: the target can't be loaded; starting again without a change doesn't help."""
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36


class Nursery:
    """Forks brains on demand and tells of their ends."""

    def __init__(self, control: socket.socket, loaded: Loaded) -> None:
        self._control = control
        self._loaded = loaded
        self._wake_reader, self._wake_writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> None:
        """Serve until end of file."""
        signal.signal(signal.SIGCHLD, _only_wake)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._say_ready()
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wake_reader, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _event in poll.poll()}
            if self._wake_reader in ready:
                _drain(self._wake_reader)
                self._reap()
            if self._control.fileno() in ready and not self._serve_one():
                return

    def _say_ready(self) -> None:
        version = self._loaded.version
        try:
            self._tell(["ready", version, self._loaded.schema])
        except LocalProtocolError:
            self._tell(["ready", version, None])

    def _serve_one(self) -> bool:
        """One datagram. False: the supervisor is gone."""
        try:
            found = line.receive(self._control)
        except ConnectionError:
            found = None
        if found is None:
            return False
        if found.name != "spawn" or len(found.descriptors) != DESCRIPTORS_PER_BRAIN:
            close_all(found.descriptors)
            raise ValueError(f"found {found.name!r:.80} with {len(found.descriptors)} descriptors")
        self._spawn(found.arguments[0], found.descriptors)
        return True

    def _spawn(self, brain_id: Any, descriptors: list[int]) -> None:
        loaded = self._loaded
        try:
            pid = fork_child(lambda: worker.serve(brain_id, loaded, descriptors), descriptors)
        except OSError as error:
            # The supervisor sees that nobody holds the port, and asks again after a moment.
            print(f"brain {brain_id} could not be forked: {error}", file=sys.stderr)
        else:
            self._tell(["spawned", brain_id, pid])
        close_all(descriptors)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._tell(["exited", pid, status])

    def _tell(self, message: list[Any]) -> None:
        try:
            line.send(self._control, message)
        except ConnectionError:
            return


def main(arguments: list[str]) -> int:
    """The exit code: 0 at end of file, 78 where the target can't be loaded, 2 for wrong usage."""
    target, *rest = arguments or [""]
    if not target or len(rest) > 1 or not all(map(str.isdecimal, rest)):
        print("usage: python -m osupervisor.brain.nursery TARGET [FD]", file=sys.stderr)
        return 2
    control = socket.socket(fileno=int(rest[0]) if rest else CONTROL_FD)
    control.set_inheritable(False)
    _become_subreaper()
    _end_with_parent()
    if _is_alone(control):
        return 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # When the supervisor ends, the kernel sends it to a process group in which somebody is stopped.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    output.install()
    diagnostics.install()
    if os.environ.get("PYTHONHASHSEED", "random") == "random":
        print(
            "PYTHONHASHSEED is not set: the order of sets differs between processes",
            file=sys.stderr,
        )
    try:
        loaded = load_target(target)
    except LoadError as error:
        return _fail(control, str(error))
    except BaseException:
        return _fail(control, traceback.format_exc())
    gc.collect()
    gc.freeze()
    Nursery(control, loaded).run()
    return 0


def _fail(control: socket.socket, text: str) -> int:
    print(text, file=sys.stderr)
    try:
        line.send(control, ["failed", text[-FAILURE_CHARACTERS_MAX:]])
    except ConnectionError:
        pass
    return EXIT_FAILED


def _become_subreaper() -> None:
    """Orphaned brains become this process's children. Linux 3.4 and later."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _end_with_parent() -> None:
    """The supervisor. An import that hangs would not see the end of file."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        error_number = ctypes.get_errno()
        raise OSError(error_number, os.strerror(error_number))


def _is_alone(control: socket.socket) -> bool:
    """Whether the parent ended before that."""
    poll = select.poll()
    poll.register(control, 0)
    return bool(poll.poll(0))


def _end(arguments: list[str]) -> NoReturn:
    """At once: a thread that the author's module has started may never end, nor what it has left
    to be done at the interpreter's exit; the next nursery would be waited for in vain."""
    code = 1
    try:
        code = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        try:
            output.flush()
        finally:
            os._exit(code)


def _only_wake(_number: int, _frame: Any) -> None:
    """The signal's number is in the wakeup pipe already."""


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4_096):
            pass
    except BlockingIOError:
        return


if __name__ == "__main__":
    _end(sys.argv[1:])
