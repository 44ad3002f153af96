"""A trial import: whether a brain's code can be imported, asked before a service is stopped for it.

The process that imports is a nursery as the supervisor starts it, of the same folder, environment
and hash seed. It forks no brain and touches nothing of the data directory.
"""

import contextlib
import os
import select
import signal
import subprocess
from pathlib import Path

from osupervisor.bridge import line
from osupervisor.bridge.errors import RemoteProtocolError
from osupervisor.config.settings import Settings
from osupervisor.supervisor.cli.failure import CliError, TimedOut
from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.head_start import HASH_SEED_FILE
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.tree.exit_status import exit_cause, signal_cause

END_S = 5.0
"""Time to leave by itself for a process that has said its word: what runs at exit is the author's
own."""
OUTPUT_BYTES_MAX = 16_384
"""The end of what it printed, where it said nothing else: as long as a traceback may be."""
HINT = "correct the brain and restart again; the service was not touched, and goes on as it is"


def try_import(settings: Settings, timeout_s: float) -> None:
    """Import the target in a process of its own, which has ended when this returns or raises.

    Raises CliError with code BrainFailed and the traceback, where the target can't be imported;
    TimedOut; OSError.
    """
    output = os.memfd_create("trial", os.MFD_CLOEXEC)
    try:
        seed = _hash_seed(settings.data)
        started = nursery_process.start(settings.target, settings.root, seed, output)
        try:
            said = _word(started, timeout_s)
        finally:
            _end(started)
        if said is None:
            said = f"{_tail(output)}importing the brain ended its process ({_cause(started)})"
    finally:
        os.close(output)
    if said:
        reason = said.strip().splitlines()[-1]
        message = f"the brain can't be imported: {reason}"
        raise CliError(message, HINT, {"traceback": said}, code="BrainFailed")


def _word(started: NurseryProcess, timeout_s: float) -> str | None:
    """Why the target can't be imported; empty: it can. None: the process ended without a word."""
    if not select.select([started.line], [], [], timeout_s)[0]:
        message = f"importing the brain took longer than {timeout_s:g} s"
        raise TimedOut(message, "restart with a longer --timeout; the service was not touched")
    try:
        said = line.receive(started.line)
    except (ConnectionError, RemoteProtocolError):
        return None
    if said is None:
        return None
    return "" if said.name == "ready" else "\n".join(map(str, said.arguments)) or said.name


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
