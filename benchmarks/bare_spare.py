"""The floor of a supervisor's restart: a spare process that is handed the listening socket.

A parent holds the socket. The server that is killed has one client; the parent notices by pidfd,
wakes a spare that waits, imports done, and hands it the socket; the client connects anew, asks and
is answered. No log, no brains, no lease.
"""

import os
import select
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path

WAIT_S = 60.0


def kill_once() -> float:
    """Seconds from the kill to the spare's answer."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = str(Path(folder, "socket"))
        listener.bind(path)
        listener.listen()
        line, spare_line = socket.socketpair()
        server_pid, spare_pid = _fork(listener, None), _fork(listener, spare_line)
        pidfd = os.pidfd_open(server_pid)
        heart = threading.Thread(target=_hand_over, args=(pidfd, line))
        heart.start()
        try:
            return _kill_and_ask(path, server_pid)
        finally:
            heart.join()
            os.kill(spare_pid, signal.SIGKILL)
            for pid in (server_pid, spare_pid):
                os.waitpid(pid, 0)
            os.close(pidfd)
            line.close()
            spare_line.close()


def _kill_and_ask(path: str, pid: int) -> float:
    _ask(path).close()
    with _ask(path) as client:
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        client.recv(1)
        _ask(path).close()
        return time.perf_counter() - began


def _ask(path: str) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.sendall(b"?")
    assert client.recv(1) == b"!"
    return client


def _hand_over(pidfd: int, line: socket.socket) -> None:
    """What heart does."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(WAIT_S * 1000)
    line.sendall(b"go")


def _fork(listener: socket.socket, line: socket.socket | None) -> int:
    """A server, at work at once or when it is told on the line."""
    pid = os.fork()
    if pid == 0:
        try:
            if line is None or line.recv(2):
                _serve(listener)
        finally:
            os._exit(0)
    return pid


def _serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        connection.recv(1)
        connection.sendall(b"!")
        held.append(connection)


held: list[socket.socket] = []
"""Connections that live as long as their server does."""
