"""Brains that outlived the last supervisor, taken over by this one.

Heart kept for each brain its line, its pidfd and its hot segment, under the names

    brain.<id>.line   brain.<id>.pidfd   brain.<id>.hot

Over the line it is handed a new port and a new output pipe; it fences itself, says `ready`, and is
a follower like any other. What is incomplete or dead is let go of; what doesn't answer is killed.
"""

import asyncio
import contextlib
import os
import select
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from osupervisor.bridge import line
from osupervisor.bridge.errors import BridgeError
from osupervisor.supervisor.runtime import brain_process
from osupervisor.supervisor.runtime.brain_process import BrainProcess
from osupervisor.supervisor.runtime.port import PortEvents
from osupervisor.vault_store.errors import VaultStoreError

PARTS = ("line", "pidfd", "hot")
PIDFD = "pidfd"


@dataclass(frozen=True, slots=True)
class Survivor:
    """A brain that lives, as heart kept it."""

    id: int
    pid: int
    line: int
    pidfd: int
    hot: int


def store_name(brain: int, part: str) -> str:
    return f"brain.{brain}.{part}"


def survivors(stored: Mapping[str, int]) -> tuple[list[Survivor], list[str]]:
    """Who lives, oldest first; and the names under which nothing useful is stored."""
    by_brain: dict[int, dict[str, int]] = {}
    for name, descriptor in stored.items():
        kind, _, rest = name.partition(".")
        number, _, part = rest.partition(".")
        if kind == "brain" and number.isdigit() and part in PARTS:
            by_brain.setdefault(int(number), {})[part] = descriptor
    living: list[Survivor] = []
    useless: list[str] = []
    for brain, parts in sorted(by_brain.items()):
        pid = _living_pid(parts["pidfd"]) if "pidfd" in parts else 0
        if pid and len(parts) == len(PARTS):
            living.append(Survivor(brain, pid, parts["line"], parts["pidfd"], parts["hot"]))
            continue
        if pid:
            _kill(parts["pidfd"])
        for part, descriptor in parts.items():
            os.close(descriptor)
            useless.append(store_name(brain, part))
    return living, useless


def whole(useless: list[str]) -> int:
    """How many brains are among these names with all their parts: dead, and nobody saw it.

    Of a brain whose death the last supervisor saw the pidfd alone is left.
    """
    brains = [name.rpartition(".")[0] for name in useless]
    return sum(brains.count(brain) == len(PARTS) for brain in set(brains))


def reattach(
    survivor: Survivor, epoch: int, loop: asyncio.AbstractEventLoop, events: PortEvents
) -> BrainProcess | None:
    """Hand a brain its new port. None: it took nothing, and was killed. Owns the descriptors."""
    kept = socket.socket(fileno=survivor.line)
    try:
        process, ends = brain_process.make_around(survivor.id, kept, survivor.hot, loop, events)
    except (OSError, VaultStoreError):
        _give_up(survivor, kept)
        return None
    try:
        kept.setblocking(False)
        line.send(kept, ["port", epoch], [ends.port.fileno(), ends.output])
    except (OSError, BridgeError):
        _kill(survivor.pidfd)
        process.close()
        os.close(process.output)
        os.close(survivor.pidfd)
        return None
    finally:
        ends.port.close()
        os.close(ends.output)
    process.pidfd = survivor.pidfd
    return process


def _give_up(survivor: Survivor, kept: socket.socket) -> None:
    _kill(survivor.pidfd)
    kept.close()
    os.close(survivor.hot)
    os.close(survivor.pidfd)


def _kill(pidfd: int) -> None:
    """One that has just died by itself needs no signal."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _living_pid(pidfd: int) -> int:
    """The pid behind a pidfd; 0 when that process has ended."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if poll.poll(0):
        return 0
    for row in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if row.startswith("Pid:"):
            return max(0, int(row.split()[1]))
    return 0
