"""A trial: whether a brain's code gets as far as `ready`, asked before a service is stopped for it.

A nursery as the supervisor starts it, of the same folder, environment and hash seed, imports the
code, makes an object of the class and describes it; then it forks a brain, which must say that it
is ready. That brain has no state: a second copy of it beside those that serve could take the memory
that they need, and none of the author's code is run to load it. Nothing of the data directory is
touched.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

from osupervisor.bridge import line
from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX, FrameDecoder
from osupervisor.config.settings import Settings
from osupervisor.supervisor.cli.failure import CliError, TimedOut
from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.head_start import HASH_SEED_FILE
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.tree.exit_status import exit_cause, signal_cause, status_cause
from osupervisor.vault_store import hot

END_S = 5.0
"""Time to leave by itself for a process that has said its word: what runs at exit is the author's
own."""
OUTPUT_BYTES_MAX = 16_384
"""The end of what it printed, where it said nothing else: as long as a traceback may be."""
READ_BYTES = 65_536
READY = b"\x93\x02\xa5ready"
"""How [2, "ready", params] begins."""
HINT = "correct the brain and restart again; the service was not touched, and goes on as it is"


def try_brain(settings: Settings, timeout_s: float) -> None:
    """Try the target in processes of its own, which have ended when this returns or raises.

    Raises CliError with code BrainFailed and the traceback or output, where the target can't be
    imported, or its brain ends before it is ready; TimedOut; OSError.
    """
    limit = time.monotonic() + timeout_s
    output = os.memfd_create("trial", os.MFD_CLOEXEC)
    failed, died = "the brain can't be imported", ""
    try:
        seed = _hash_seed(settings.data)
        started = nursery_process.start(settings.target, settings.root, seed, output)
        try:
            said = _word(started, limit, timeout_s)
            if said == "":
                died = _fork_brain(started, output, limit, timeout_s)
        finally:
            _end(started)
        if said is None:
            said = f"{_tail(output)}importing the brain ended its process ({_cause(started)})"
        elif died:
            failed = "the brain can be imported, and does not start"
            said = f"{_tail(output)}it died before it was ready ({died})"
    finally:
        os.close(output)
    if said:
        reason = said.strip().splitlines()[-1]
        raise CliError(f"{failed}: {reason}", HINT, {"traceback": said}, code="BrainFailed")


def _word(started: NurseryProcess, limit: float, timeout_s: float) -> str | None:
    """Why the target can't be imported; empty: it can. None: the process ended without a word."""
    if not select.select([started.line], [], [], max(0.0, limit - time.monotonic()))[0]:
        raise _took_too_long("importing the brain", timeout_s)
    said = _receive(started)
    if said is None:
        return None
    return "" if said.name == "ready" else "\n".join(map(str, said.arguments)) or said.name


def _receive(started: NurseryProcess) -> line.Datagram | None:
    """What the nursery says, which is there to be read. None: it has ended."""
    try:
        return line.receive(started.line)
    except (ConnectionError, RemoteProtocolError):
        return None


def _fork_brain(started: NurseryProcess, output: int, limit: float, timeout_s: float) -> str:
    """Have a brain forked, which has ended when this returns or raises. How it died, where it did
    so before it was ready; empty: it was ready."""
    port, their_port = socket.socketpair()
    our_line, their_line = line.pair()
    hot_fd = hot.create()
    ends = [their_port.fileno(), their_line.fileno(), hot_fd, output]
    died = None
    try:
        try:
            line.send(started.line, ["spawn", 1], ends)
        except OSError:
            return "its nursery has ended"
        finally:
            their_port.close()
            their_line.close()
        died = _watch(started, port, limit, timeout_s)
        return died or ""
    finally:
        os.close(hot_fd)
        port.close()
        our_line.close()  # now nobody is left to serve, and it ends
        if not died:
            _see_it_end(started)


def _watch(started: NurseryProcess, port: socket.socket, limit: float, timeout_s: float) -> str:
    """As `_fork_brain`."""
    decoder = FrameDecoder(PORT_FRAME_BYTES_MAX)
    watched: list[socket.socket] = [port, started.line]
    while True:
        there = select.select(watched, [], [], max(0.0, limit - time.monotonic()))[0]
        if not there:
            raise _took_too_long("starting the brain", timeout_s)
        if port in there:
            data = _read(port)
            if any(body.startswith(READY) for body in decoder.feed(data)):
                return ""
            if not data:
                watched.remove(port)
        elif died := _end_of_brain(started):
            return died


def _read(port: socket.socket) -> bytes:
    try:
        return port.recv(READ_BYTES)
    except ConnectionError:
        return b""


def _end_of_brain(started: NurseryProcess) -> str:
    """One datagram of the nursery's: how the brain ended; empty: that is not what it says."""
    said = _receive(started)
    if said is None:
        return "its nursery has ended"
    match said.name, said.arguments:
        case "exited", [_, int(status)]:
            return str(status_cause(status))
        case _:
            return ""


def _see_it_end(started: NurseryProcess) -> None:
    """The brain ends by itself; by force, with its nursery, if it doesn't."""
    limit = time.monotonic() + END_S
    while select.select([started.line], [], [], max(0.0, limit - time.monotonic()))[0]:
        if _end_of_brain(started):
            return
    os.killpg(started.process.pid, signal.SIGKILL)


def _took_too_long(what: str, timeout_s: float) -> TimedOut:
    message = f"{what} took longer than {timeout_s:g} s"
    return TimedOut(message, "restart with a longer --timeout; the service was not touched")


def _end(started: NurseryProcess) -> None:
    """It ends at the end of its line; by force, with what it started, if it doesn't."""
    started.line.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        started.process.wait(END_S)
        return
    os.killpg(started.process.pid, signal.SIGKILL)
    started.process.wait()


def _cause(started: NurseryProcess) -> str:
    code = started.process.returncode
    return str(exit_cause(code) if code >= 0 else signal_cause(-code))


def _tail(output: int) -> str:
    size = os.fstat(output).st_size
    found = os.pread(output, OUTPUT_BYTES_MAX, max(0, size - OUTPUT_BYTES_MAX))
    text = found.decode(errors="replace").rstrip()
    return f"{text}\n" if text else ""


def _hash_seed(data: str) -> str:
    """The service's own; 0 where none was drawn yet."""
    try:
        return str(int(Path(data, HASH_SEED_FILE).read_text()))
    except (OSError, ValueError):
        return "0"
