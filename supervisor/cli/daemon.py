"""A heart in the background: detached from terminal and session, and waited for until it serves.

heart tells whoever stands above it (NOTIFY_SOCKET, as systemd has it) when its supervisor is
ready, or that it refused to start, and why. A target that can't be imported makes no supervisor
refuse: that one waits until somebody mends it, and `system.status` has the reason.
"""

import os
import select
import signal
import socket
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError
from osupervisor.supervisor.cli.failure import CliError, TimedOut
from osupervisor.supervisor.cli.processes import Processes, family
from osupervisor.supervisor.heart.notification import DATAGRAM_BYTES_MAX, REFUSED, parse
from osupervisor.supervisor.heart.run_folder import RunFolder
from osupervisor.supervisor.logs.reader import LogReader
from osupervisor.supervisor.tree.ladder import LAST_RUNG

LOOK_S = 0.25
"""Time between two looks at the status of a service that isn't ready yet."""
ASK_S = 1.0
END_S = 60.0
"""Twice what a supervisor gets to stop by default."""
LOOKS_FAILED = 2
"""Looks that must find the same reason: one may fall between a failure and the next try."""

Status = dict[str, Any]


class _Unfit(Exception):
    """The brain does not start, and its service was stopped."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Notices:
    """What heart says on its way: a datagram socket in `<data>/run`, which nobody else may reach.

    A context manager: it unlinks the socket.
    """

    def __init__(self, data: str) -> None:
        """Raises FolderError."""
        self._folder = RunFolder(data)
        self._name = f"start.{os.getpid()}.sock"
        self._socket = self._folder.bind(self._name, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self.address = self._folder.address(self._name, os.getpid())

    def fileno(self) -> int:
        """For poll."""
        return self._socket.fileno()

    def read(self) -> dict[str, str]:
        """All that was said and not read: the last of each name counts."""
        fields: dict[str, str] = {}
        while True:
            try:
                fields |= parse(self._socket.recv(DATAGRAM_BYTES_MAX))
            except BlockingIOError:
                return fields

    def __enter__(self) -> "Notices":
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.unlink(self._name)
        self._socket.close()
        self._folder.close()


def start_detached(command: list[str], data: str, timeout_s: float) -> Status:
    """Start heart in the background; the status of its service, once it is ready.

    Raises CliError where it can't be, and then nothing of it is left; TimedOut: it goes on.
    """
    with Notices(data) as notices, closing(LogReader(Path(data, "logs"))) as log:
        pid = _detach(command, {**os.environ, "NOTIFY_SOCKET": notices.address})
        with Processes([pid]) as heart, Client(Path(data), connect_timeout_s=0.0) as client:
            asker = client.with_options(timeout_s=ASK_S)
            try:
                return _wait(heart, notices, asker, data, timeout_s)
            except _Unfit as error:
                raise _brain_failed(error.reason, data, log) from None


def _wait(
    heart: Processes, notices: Notices, client: Client, data: str, timeout_s: float
) -> Status:
    poll = select.poll()
    poll.register(notices.fileno(), select.POLLIN)
    deadline = time.monotonic() + timeout_s
    reasons: list[str] = []
    ready = False
    while time.monotonic() < deadline:
        poll.poll(LOOK_S * 1000)
        ended = heart.wait(time.monotonic())
        said = notices.read()
        if said.get("EXIT_STATUS") == str(REFUSED):
            heart.wait(time.monotonic() + END_S)
            raise _refused(said.get("STATUS", ""), data)
        if ended:
            raise CliError(f"heart ended before {data} was ready", _see(data))
        ready = ready or said.get("READY") == "1"
        status = _status(client)
        if ready and status is not None:
            return status
        reasons = [*reasons, _trouble(status)] if _trouble(status) else []
        if len(reasons) >= LOOKS_FAILED:
            _end(heart.alive[0])
            raise _Unfit(reasons[-1])
    raise TimedOut(
        f"the service on {data} was not ready in {timeout_s:g} s; it goes on starting",
        "`osupervisor status --wait ready --timeout 60` waits on, `osupervisor stop` gives up",
        {"data": data},
    )


def _status(client: Client) -> Status | None:
    try:
        return client.status()
    except BridgeError:
        return None


def _trouble(status: Status | None) -> str:
    """Why a service that starts doesn't get on; empty where nothing is known."""
    if status is None or not (
        status.get("state") == "starting" or status.get("rung") == LAST_RUNG.name
    ):
        return ""
    return str(status.get("reason") or "")


def _end(pid: int) -> None:
    """Stop a service that will not get ready."""
    with Processes(family(pid)) as processes:
        processes.send(pid, signal.SIGTERM)
        processes.wait(time.monotonic() + END_S)


def _refused(reason: str, data: str) -> CliError:
    message = reason or f"the supervisor refused to start on {data} and gave no reason"
    return CliError(message, _see(data), {"data": data}, code="Refused")


def _brain_failed(reason: str, data: str, log: LogReader) -> CliError:
    """`log`: it has been there since before the start."""
    hint = "correct the brain and start again; nothing is left running"
    found: dict[str, object] = {"data": data}
    traceback = _last_traceback(log)
    if traceback:
        found["traceback"] = traceback
    return CliError(f"the brain does not start: {reason}", hint, found, code="BrainFailed")


def _last_traceback(log: LogReader) -> str:
    """Why the target could not be imported, as the log has it; empty where it hasn't."""
    texts = [record.get("traceback") for record in log.poll()]
    return next((text for text in reversed(texts) if isinstance(text, str) and text), "")


def _see(data: str) -> str:
    return f"{data}/logs tells what happened before; correct it and start again"


def _detach(command: list[str], environ: dict[str, str]) -> int:
    """The pid of the command, run by a process that leads no session and has no terminal.

    Raises OSError where it can't be run.
    """
    here, there = os.pipe()
    first = os.fork()
    if first == 0:
        _leave(command, environ, there)
    os.close(there)
    with open(here, "rb") as pipe:
        pid, _, error = pipe.read().decode().partition("\n")
    os.waitpid(first, 0)
    if error or not pid:
        raise CliError(f"{command[0]} can't be run: {error}", "see that it is there, and yours")
    return int(pid)


def _leave(command: list[str], environ: dict[str, str], there: int) -> NoReturn:
    """In a forked child. Writes the pid and, on a line of its own, why exec failed."""
    try:
        os.setsid()
        if os.fork() == 0:
            os.write(there, f"{os.getpid()}\n".encode())
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            os.chdir("/")
            os.execve(command[0], command, environ)
    except OSError as error:
        os.write(there, str(error).encode())
    finally:
        os._exit(0)
    sys.exit()  # for the type checker: _exit has ended this process
