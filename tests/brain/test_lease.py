"""The lease in-process: what it remembers of executions, and for how long."""

import os
import socket

from osupervisor.brain.lease import Lease
from osupervisor.brain.port import Port
from osupervisor.vault_store import hot
from osupervisor.vault_store.hot import HotWriter
from tests.brain.machine import SEED, T_US, Machine, Probe, Work


def from_now_on(work: Work) -> None:
    """What the ops and queries of `Probe` do."""
    Probe.work = staticmethod(work)


def test_queries_behind_the_last_confirmed_op_are_not_remembered() -> None:
    """There may be millions before the next op, and nothing of them is ever to be undone."""
    hot_fd = hot.create()
    ours, theirs = socket.socketpair()
    machine = Machine()
    lease = Lease(machine.executor, HotWriter(hot_fd), epoch=1)
    port = Port(ours)
    from_now_on(lambda brain: brain.state.update(a=1))
    lease.call(port, 1, [1, "k", ["run", [], {}, T_US, SEED]])
    from_now_on(lambda brain: None)
    for n in range(2, 5):
        lease.call(port, n, [1, "k", ["ask", [], {}, T_US, SEED]])
    assert (lease.remembered, lease.unconfirmed) == (4, 1)
    lease.confirm(1)
    for n in range(5, 50):
        lease.call(port, n, [1, "k", ["ask", [], {}, T_US, SEED]])
    assert lease.remembered == 0
    from_now_on(lambda brain: brain.state.update(a=2))
    lease.call(port, 50, [1, "k", ["run", [], {}, T_US, SEED]])
    lease.fence()
    assert machine.tree.plain() == ({"a": 1}, {})
    for end in (ours, theirs):
        end.close()
    os.close(hot_fd)
