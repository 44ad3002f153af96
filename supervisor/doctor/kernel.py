"""What the kernel offers: death watch, shared memory, confinement. Each feature is really tried."""

import errno
import fcntl
import os
import platform
import re
import struct
import subprocess
import sys
from collections.abc import Iterator

from osupervisor.supervisor.doctor import system_call
from osupervisor.supervisor.doctor.finding import Finding, judged
from osupervisor.supervisor.heart.pidfd_info import exit_status

OLDEST = (5, 10)  # pidfds in waitid and poll, and the oldest kernel this is known to run on
LANDLOCK_ABI_WANTED = 6  # signal and abstract socket scopes
CHILD_TIMEOUT_S = 20.0
FUTEX_OWNER_DIED = 0x40000000

ROBUST_CHILD = """
import ctypes, mmap, os, sys
memory = mmap.mmap(int(sys.argv[1]), 4096)
mutex = (ctypes.c_char * 64).from_buffer(memory)
kind = ctypes.create_string_buffer(64)
libc = ctypes.CDLL(None)
steps = [libc.pthread_mutexattr_init(kind), libc.pthread_mutexattr_setpshared(kind, 1),
         libc.pthread_mutexattr_setrobust(kind, 1), libc.pthread_mutex_init(mutex, kind),
         libc.pthread_mutex_lock(mutex)]
os.kill(os.getpid(), 9) if not any(steps) else sys.exit(1)
"""
NAMESPACE_CHILD = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
sys.exit(ctypes.get_errno() if libc.unshare(0x10000000) else 0)
"""


def examine() -> Iterator[Finding]:
    """The version, then feature by feature."""
    yield _version()
    yield _pidfd_open()
    yield _pidfd_exit_info()
    yield _memfd_seals()
    yield _robust_futex()
    yield _landlock()
    yield judged(
        "seccomp",
        system_call.has_seccomp(),
        "there" if system_call.has_seccomp() else "missing",
        "there",
        "Brains can't be confined: the profiles `confined` and `sealed` will refuse to run.",
    )
    yield _user_namespaces()


def _version() -> Finding:
    release = platform.release()
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = tuple(map(int, numbers.groups())) if numbers else ()
    wanted = f"Linux {OLDEST[0]}.{OLDEST[1]} or newer"
    if platform.system() != "Linux":
        found = f"{platform.system()} {release}"
        return Finding("kernel", "bad", found, wanted, "Nothing starts: this needs Linux.")
    otherwise = "This kernel is older than any it was tested on."
    return judged("kernel", version >= OLDEST, f"Linux {release}", wanted, otherwise)


def _pidfd_open() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return Finding(
            "pidfd_open",
            "bad",
            f"fails: {error.strerror}",
            "works",
            "heart can't watch processes and doesn't start. Under gVisor or an old Docker, "
            "allow the system call.",
        )
    return Finding("pidfd_open", "ok", "works", "works")


def _pidfd_exit_info() -> Finding:
    wanted = "exit status from a pidfd (Linux 6.15)"
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])
    pidfd = os.pidfd_open(child.pid)
    try:
        child.wait(CHILD_TIMEOUT_S)
        works = exit_status(pidfd) == 3
    finally:
        os.close(pidfd)
    otherwise = "Of a supervisor that outlived its heart only its end is known, not how it ended."
    return judged("pidfd_exit_info", works, "works" if works else "missing", wanted, otherwise)


def _memfd_seals() -> Finding:
    try:
        fd = os.memfd_create("doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        return _no_seals(f"memfd_create fails: {error.strerror}")
    try:
        os.ftruncate(fd, 4096)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        os.ftruncate(fd, 0)
    except PermissionError:
        return Finding("memfd_seals", "ok", "works", "works")
    except OSError as error:
        return _no_seals(f"sealing fails: {error.strerror}")
    finally:
        os.close(fd)
    return _no_seals("a sealed file could be shrunk")


def _no_seals(found: str) -> Finding:
    follows = "A brain could kill the supervisor by shrinking shared memory; it doesn't start."
    return Finding("memfd_seals", "bad", found, "works", follows)


def _robust_futex() -> Finding:
    """A child locks a robust mutex in shared memory and is killed; the kernel must mark it."""
    fd = os.memfd_create("doctor", os.MFD_CLOEXEC)
    try:
        os.ftruncate(fd, 4096)
        command = [sys.executable, "-I", "-S", "-c", ROBUST_CHILD, str(fd)]
        subprocess.run(command, pass_fds=[fd], timeout=CHILD_TIMEOUT_S, check=False)
        (word,) = struct.unpack("I", os.pread(fd, 4, 0))
    finally:
        os.close(fd)
    works = bool(word & FUTEX_OWNER_DIED)
    otherwise = (
        "A brain's death is noticed by its pidfd alone: after its memory is torn down, "
        "1 ms for a small brain, 80 to 800 ms for 1 GB."
    )
    return judged("robust_futex", works, "works" if works else "missing", "works", otherwise)


def _landlock() -> Finding:
    abi = system_call.landlock_abi()
    return judged(
        "landlock",
        (abi or 0) >= LANDLOCK_ABI_WANTED,
        f"ABI {abi}" if abi else "missing, or switched off",
        f"ABI {LANDLOCK_ABI_WANTED} or newer",
        "Brains can be confined less, or not at all: what is missing will be said where a "
        "profile asks for it.",
    )


def _user_namespaces() -> Finding:
    command = [sys.executable, "-I", "-S", "-c", NAMESPACE_CHILD]
    status = subprocess.run(command, timeout=CHILD_TIMEOUT_S, check=False).returncode
    found = "allowed" if status == 0 else errno.errorcode.get(status, f"status {status}")
    otherwise = "The profile `sealed` will refuse to run for a user who isn't root."
    return judged("user_namespaces", status == 0, found, "allowed", otherwise)
