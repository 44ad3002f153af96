"""Starting the nursery's process: a Python of its own, a line to it, and what it is to import."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from osupervisor.bridge import line
from osupervisor.supervisor.heart.command import HEART_ARGUMENTS, PREDECESSOR
from osupervisor.supervisor.logs.rotated_file import RotatedFile, rotate_shared
from osupervisor.supervisor.logs.timestamp import timestamp

_OURS_ALONE = (
    "NOTIFY_SOCKET",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    HEART_ARGUMENTS,
    PREDECESSOR,
)
"""Variables that no process below this one may believe to be its own."""

LOG_NAME = "nursery.log"
HUGE_PAGES = "glibc.malloc.hugetlb=1"
"""For brains: glibc asks for huge pages, where the kernel has them on request (`madvise`). A fork
then copies few page tables: of 1 GB in values of 10 KB it takes 0.5 ms instead of 25. Small values
lie in Python's own arenas, which stay as they are. An operator's GLIBC_TUNABLES stands."""


@dataclass(frozen=True, slots=True)
class NurseryProcess:
    """One that was started, and has not been spoken to: whoever takes it owns process and line."""

    target: str
    root: str
    hash_seed: str
    process: subprocess.Popen[bytes]
    line: socket.socket

    def discard(self) -> None:
        """It is not wanted after all: nothing of it is left when this returns, nor of what it has
        started."""
        self.line.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def open_log(data: Path, bytes_max: int, kept: int) -> int:
    """The file for the output of a nursery that starts now, to append to. Raises OSError.

    It gets a line with the time, to which belongs what follows; and before that an end for what the
    last nursery left unended.
    """
    path = data / "logs" / LOG_NAME
    with contextlib.suppress(OSError):
        rotate_shared(path, bytes_max, kept)
    file = _never_moved(path, kept)
    with contextlib.suppress(OSError):  # a full disk keeps no brain from starting
        file.append(_line("nursery.starting"))
    return file.detach()


def bound_log(data: Path, bytes_max: int, kept: int) -> None:
    """Rotate that file while a nursery writes into it, where it has grown too large. Blocks; raises
    OSError."""
    path = data / "logs" / LOG_NAME
    if rotate_shared(path, bytes_max, kept):
        with contextlib.closing(_never_moved(path, kept)) as file:
            file.append(_line("nursery.log_rotated"))


def _never_moved(path: Path, kept: int) -> RotatedFile:
    """Whoever writes into a file that is moved goes on in what nobody bounds any more: the nursery
    that lives, or that of the safe brain beside it."""
    return RotatedFile(path, sys.maxsize, kept)


def _line(message: str) -> bytes:
    head = {"time": timestamp(time.time()), "level": "info", "source": "nursery"}
    return f"{json.dumps({**head, 'message': message})}\n".encode()


def start(target: str, root: str, hash_seed: str, output: int) -> NurseryProcess:
    """Have the code of `target` imported in a process of its own.

    `root`: where the target's file or package is found; `output`: for its stdout and stderr; the
    caller closes it. Raises OSError.
    """
    ours, theirs = line.pair()
    ours.setblocking(False)
    try:
        process = _execute(target, root, hash_seed, output, theirs.fileno())
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return NurseryProcess(target, root, hash_seed, process, ours)


def _execute(
    target: str, root: str, hash_seed: str, output: int, fd: int
) -> subprocess.Popen[bytes]:
    """With the line and nothing else of ours."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    environment.setdefault("GLIBC_TUNABLES", HUGE_PAGES)
    for name in _OURS_ALONE:
        environment.pop(name, None)
    return subprocess.Popen(
        [sys.executable, "-m", "osupervisor.brain.nursery", target, str(fd)],
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(fd,),
        process_group=0,  # not a session: the kernel may share out CPU time by session
    )
