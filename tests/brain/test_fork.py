"""Forks: what a child keeps, what it loses, and that frozen garbage is found again."""

import gc
import os
import socket
import time
import weakref

import pytest

from osupervisor.brain import fork
from osupervisor.brain.fork import Between


class Node:
    """Stands for a container of the state: it knows what holds it."""

    def __init__(self) -> None:
        self.child: Node | None = None
        self.holder: Node | None = None


def test_thaw_collects_what_a_fork_froze() -> None:
    parent, child = Node(), Node()
    parent.child, child.holder = child, parent
    seen = weakref.ref(parent)
    gc.collect()
    gc.freeze()
    del parent, child
    gc.collect()
    assert seen() is not None, "frozen: this is why there is a thaw"
    fork.thaw()
    assert seen() is None


def test_child_keeps_what_it_was_given_and_leaves_with_its_code() -> None:
    ours, theirs = socket.socketpair()
    others = socket.socketpair()

    def work() -> int:
        open_fds = {int(name) for name in os.listdir("/proc/self/fd")}
        theirs.send(b"closed" if others[0].fileno() not in open_fds else b"open")
        return 7

    pid = fork.fork_child(work, [theirs.fileno()])
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert ours.recv(100) == b"closed"
    for end in (ours, theirs, *others):
        end.close()


def test_child_that_fails_leaves_with_a_code_of_its_own() -> None:
    def work() -> int:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise RuntimeError("told on standard error")

    _, status = os.waitpid(fork.fork_child(work, []), 0)
    assert os.waitstatus_to_exitcode(status) == 70


def test_grandchild_is_no_child_and_keeps_what_it_was_given() -> None:
    ours, theirs = socket.socketpair()
    between = fork.fork_grandchild([theirs.fileno()])
    if between is None:
        open_fds = {int(name) for name in os.listdir("/proc/self/fd")} - {0, 1, 2}
        theirs.send(b"%d %d" % (os.getppid(), len(open_fds - {theirs.fileno()})))
        theirs.recv(1)
        os._exit(0)
    pid = answer_of(between)
    parent, others = map(int, ours.recv(100).split())
    assert parent != os.getpid()
    assert others == 1, "the folder that it reads"
    assert pid != 0
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    ours.close()
    theirs.close()


def test_grandchild_that_cannot_be_forked_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_forks(monkeypatch, 1)
    between = fork.fork_grandchild([])
    assert between is not None
    assert answer_of(between) == 0


def test_process_between_that_cannot_be_forked_leaves_nothing_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    allow_forks(monkeypatch, 0)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(BlockingIOError):
        fork.fork_grandchild([])
    assert os.listdir("/proc/self/fd") == before


def test_process_between_may_be_reaped_by_somebody_else() -> None:
    between = fork.fork_grandchild([])
    if between is None:
        os._exit(0)
    os.waitpid(-1, 0)
    assert answer_of(between) != 0


def answer_of(between: Between) -> int:
    while (pid := between.grandchild()) is None:
        time.sleep(0.001)
    return pid


def allow_forks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """So many in a line of descent; the next fails as it does at a limit of processes."""
    real, left = os.fork, [number]

    def limited() -> int:
        if not left[0]:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        left[0] -= 1
        return real()

    monkeypatch.setattr(os, "fork", limited)
