"""How a supervisor receives what heart, or systemd, hands it: call `receive_inheritance` once.

Two ways lead in, and the caller doesn't see which: a plain start, with LISTEN_FDS and its
relatives in the environment, and a spare (OSUPERVISOR_SPARE_FD), which waits here, imports done,
until heart needs it. Either way the variables are taken out of `os.environ`, so that no process
below believes them to be its own.
"""

import json
import os
import socket
import struct
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.command import HEART_ARGUMENTS, PREDECESSOR
from osupervisor.supervisor.heart.listen_environment import is_listener, take
from osupervisor.supervisor.heart.notification import number
from osupervisor.supervisor.heart.notifier import Notifier
from osupervisor.supervisor.heart.options import SEPARATOR, Options
from osupervisor.supervisor.heart.options import parse as parse_options
from osupervisor.supervisor.heart.spare import SPARE_FD

WAKE_BYTES_MAX = 1 << 17
SCM_MAX_FD = 253


@dataclass(frozen=True, slots=True)
class HeartLink:
    """The heart to watch: `pidfd` becomes readable when it is dead, `options` start another."""

    pidfd: int
    options: Options


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The supervisor before this one. `status`: exit code, or minus the signal; None: not known."""

    pid: int
    status: int | None


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What outlived the last supervisor; all descriptors are close-on-exec and ours to close.

    listeners: by name; Unix and TCP are told apart by their family
    stored: name to descriptor, as earlier supervisors stored them
    watchdog_s: WATCHDOG=1 is due at least that often; None: nobody waits for it
    heart: None where no heart watches over us (systemd does, or nobody)
    predecessor: None for the first supervisor of a service
    """

    listeners: dict[str, socket.socket]
    stored: dict[str, int]
    notify: Notifier
    watchdog_s: float | None
    heart: HeartLink | None
    predecessor: Predecessor | None = None


def receive_inheritance() -> Inheritance:
    """Take over; a spare waits in here, and exits with status 0 when it is not needed."""
    spare_fd = number(os.environ.pop(SPARE_FD, None))
    if spare_fd is None:
        received, predecessor = take(), os.environ.pop(PREDECESSOR, "")
    else:
        received, predecessor = _wait_for_wake(socket.socket(fileno=spare_fd))
    arguments = os.environ.pop(HEART_ARGUMENTS, "")
    listeners, stored, heart_pidfd = _sorted(received)
    link: HeartLink | None = None
    if heart_pidfd is not None:
        link = HeartLink(heart_pidfd, parse_options(arguments.split(SEPARATOR)))
    notifier = Notifier(os.environ.pop("NOTIFY_SOCKET", ""), stored)
    return Inheritance(listeners, stored, notifier, _watchdog_s(), link, _parsed(predecessor))


def _parsed(predecessor: str) -> Predecessor | None:
    pid, _, status = predecessor.partition(" ")
    known = number(status.removeprefix("-"))
    if known is not None and status.startswith("-"):
        known = -known
    return Predecessor(int(pid), known) if number(pid) else None


def _wait_for_wake(line: socket.socket) -> tuple[list[tuple[str, int]], str]:
    with line:
        space = socket.CMSG_SPACE(4 * SCM_MAX_FD)
        message, ancillary, _, _ = line.recvmsg(WAKE_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    if not message:
        sys.exit(0)
    found = json.loads(message)
    fds = [fd for _, _, data in ancillary for (fd,) in struct.iter_unpack("i", data)]
    return list(zip(found["listen_fdnames"], fds, strict=True)), found["predecessor"]


def _sorted(
    received: Iterable[tuple[str, int]],
) -> tuple[dict[str, socket.socket], dict[str, int], int | None]:
    """Listeners, stored ones, and heart's pidfd. Of several of one name the last stays."""
    listeners: dict[str, socket.socket] = {}
    stored: dict[str, int] = {}
    heart_pidfd: int | None = None
    for name, fd in received:
        if name == descriptor_name.HEART_PIDFD:
            heart_pidfd = fd
        elif is_listener(fd):
            listener = socket.socket(fileno=fd)
            listener.setblocking(False)
            listeners[name] = listener
        else:
            if name in stored:
                os.close(stored[name])
            stored[name] = fd
    return listeners, stored, heart_pidfd


def _watchdog_s() -> float | None:
    interval_us = number(os.environ.pop("WATCHDOG_USEC", None))
    pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
    return interval_us / 1e6 if interval_us and pid == str(os.getpid()) else None
