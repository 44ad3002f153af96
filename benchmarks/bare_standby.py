"""The floor of a failover: a primary and a standby behind socket pairs, and nothing else.

The primary holds the robust mutex of a hot segment. Killed with a request in flight, its death is
noticed by the mutex's word, the standby gets the request and answers. No log, no lease, no loop, no
client: what the kernel and two messages cost.
"""

import mmap
import os
import signal
import socket
import time

from osupervisor.vault_store import hot
from osupervisor.vault_store.futex import wait_for_death
from osupervisor.vault_store.hot_layout import SEGMENT_BYTES

WAIT_S = 60.0
REQUEST = bytes(150)
ANSWER = bytes(50)


def kill_once(memory_bytes: int) -> float:
    """Seconds from the kill of a primary with so much memory to the standby's answer."""
    segment = hot.create()
    primary, primary_pid = _fork(memory_bytes, segment)
    standby, standby_pid = _fork(0, None)
    view = mmap.mmap(segment, SEGMENT_BYTES, prot=mmap.PROT_READ)
    try:
        for port in (primary, standby):
            port.sendall(REQUEST)
            port.recv(4096)
        os.kill(primary_pid, signal.SIGSTOP)  # so that the request is in flight at the kill
        primary.sendall(REQUEST)
        began = time.perf_counter()
        os.kill(primary_pid, signal.SIGKILL)
        assert wait_for_death(view, WAIT_S)
        standby.sendall(REQUEST)
        standby.recv(4096)
        return time.perf_counter() - began
    finally:
        os.kill(standby_pid, signal.SIGKILL)
        for pid in (primary_pid, standby_pid):
            os.waitpid(pid, 0)
        for port in (primary, standby):
            port.close()
        view.close()
        os.close(segment)


def _fork(memory_bytes: int, segment: int | None) -> tuple[socket.socket, int]:
    """A process that answers whatever comes; with the mutex and memory of its own if it is to."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            _serve(theirs, memory_bytes, segment)
        finally:
            os._exit(0)
    theirs.close()
    return ours, pid


def _serve(port: socket.socket, memory_bytes: int, segment: int | None) -> None:
    writer = hot.HotWriter(segment) if segment is not None else None
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    memory = mmap.mmap(-1, memory_bytes, flags=flags) if memory_bytes else None
    while port.recv(4096):
        port.sendall(ANSWER)
    del writer, memory
