"""A process that behaves as a brain does towards its hot segment; the tests drive it by lines.

    python brain_process.py SEGMENT_FD MEGABYTES

It maps the segment, takes the mutex, fills the memory, answers "ready", and then carries out one
command a line, each answered by one line. It ends with its standard input.
"""

import ctypes
import mmap
import os
import platform
import random
import signal
import sys

from osupervisor.vault_store import hot, mutex
from osupervisor.vault_store.futex import DEAD, SYS_FUTEX
from osupervisor.vault_store.hot_layout import MUTEX_OFFSET, SEGMENT_BYTES

ballast = bytearray()
segment = hot.HotWriter(int(sys.argv[1]))
mapping = mmap.mmap(int(sys.argv[1]), SEGMENT_BYTES, mmap.MAP_SHARED)


def main() -> None:
    """Serve commands until the end of the input."""
    ballast.extend(b"\1" * (int(sys.argv[2]) << 20))
    say("ready")
    for line in sys.stdin:
        command, *arguments = line.split()
        globals()[f"do_{command}"](*arguments)


def say(*words: object) -> None:
    """One line of answer."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def do_count(upto: str) -> None:
    """Count a counter up, and the cell and the activity with it, as fast as it goes."""
    say("counting")
    for number in range(1, int(upto) + 1):
        segment.enter(number)
        segment.set("counter", number)
        segment.set("tenth", number / 10)
        segment.describe(f"op-{number}", b"key-%d" % number, number)
        segment.set_lsn(number)
        segment.leave()
    say("counted")


def do_lie() -> None:
    """Store the word of a dead brain, and wake whoever waits."""
    mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4] = DEAD.to_bytes(4, sys.byteorder)
    word = ctypes.c_char.from_buffer(mapping, MUTEX_OFFSET)
    futex = ctypes.CDLL(None).syscall
    futex(
        ctypes.c_long(SYS_FUTEX or 0),
        ctypes.c_void_p(ctypes.addressof(word)),
        1,
        2**31 - 1,
        None,
        None,
        0,
    )
    say("lied")


def do_scribble(seed: str, rounds: str) -> None:
    """Write random bytes over the whole segment, the mutex and its pointers included."""
    source = random.Random(int(seed))
    for _ in range(int(rounds)):
        start = source.randrange(SEGMENT_BYTES)
        content = source.randbytes(min(source.choice((1, 8, 4096, SEGMENT_BYTES)), SEGMENT_BYTES))
        end = min(start + len(content), SEGMENT_BYTES)
        mapping[start:end] = content[: end - start]
    say("scribbled")


def do_shrink() -> None:
    """Try to take the memory away from under the reader."""
    results: list[str] = []
    for size in (0, 4096, SEGMENT_BYTES * 2):
        try:
            os.ftruncate(int(sys.argv[1]), size)
            results.append("done")
        except PermissionError:
            results.append("refused")
    say(*results)


def do_fork(own_segment: str) -> None:
    """Fork a child that waits to be killed; with a segment of its own, or -1. Says its pid."""
    pid = os.fork()
    if pid == 0:
        mapping.close()
        segment.forget_in_child()
        if own_segment != "-1":
            own = hot.HotWriter(int(own_segment))
            own.enter(99)
        mapped = "osupervisor-hot" in open("/proc/self/maps").read()
        say("child", os.getpid(), "mapped" if mapped else "unmapped", robust_mutexes())
        while True:
            signal.pause()
    # The child speaks for both: its line comes when it is ready.


def robust_mutexes() -> int:
    """How many mutexes the kernel would find in this thread's robust list at its end."""
    head, size = ctypes.c_void_p(), ctypes.c_size_t()
    number = ctypes.c_long({"x86_64": 274}.get(platform.machine(), 100))
    call = ctypes.CDLL(None).syscall
    assert call(number, ctypes.c_long(0), ctypes.byref(head), ctypes.byref(size)) == 0
    found, entry = 0, ctypes.c_void_p.from_address(head.value or 0).value
    while entry != head.value:
        found, entry = found + 1, ctypes.c_void_p.from_address(entry or 0).value
    return found


def do_list() -> None:
    """Say how many robust mutexes this process holds."""
    say(robust_mutexes())


def do_reap(pid: str) -> None:
    """Wait for a killed child's end."""
    os.waitpid(int(pid), 0)
    say("reaped", int.from_bytes(mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4], sys.byteorder))


def do_exec() -> None:
    """Become another program, which drops the robust list as a death does."""
    os.execv("/bin/sleep", ["sleep", "600"])


def do_owner() -> None:
    """Say the thread's id that the mutex's word must hold."""
    word = int.from_bytes(mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4], sys.byteorder)
    say(word & mutex.FUTEX_TID_MASK, word & mutex.FUTEX_WAITERS)


if __name__ == "__main__":
    main()
