"""`<data>/run/stop.lock`: held by the `stop` that asked a service to end, until it has.

A second SIGTERM makes heart kill what it was stopping. So of two `stop`s at once one only waits,
and whoever stops a service that another `stop` was interrupted at kills it. It is a POSIX record
lock, as that can be asked about without being taken, and so without getting into anyone's way.
"""

import fcntl
import os
import struct
from pathlib import Path

NAME = "stop.lock"
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock on 64-bit Linux: type, whence, start, len, pid


def take_stop_lock(data: str) -> int | None:
    """The lock's descriptor, to be closed. None: another `stop` holds it."""
    lock = os.open(Path(data, "run", NAME), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        os.close(lock)
        return None
    return lock


def stop_is_asked_for(data: str) -> bool:
    """Whether a `stop` is at work, in another process."""
    try:
        lock = os.open(Path(data, "run", NAME), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(lock, fcntl.F_GETLK, query)
    finally:
        os.close(lock)
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK
