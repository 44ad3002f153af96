"""Forks: what a child keeps, what it loses, and that frozen garbage is found again."""

import gc
import os
import socket
import weakref

from osupervisor.brain import fork


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
