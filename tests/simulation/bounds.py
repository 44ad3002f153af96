"""Invariant 12: whatever clients, brains and disk do, everything in the core is bounded."""

from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.log_tail import UNSYNCED_FACTOR
from tests.simulation.oracle import Memory, Violation

RECORD_BYTES = 2000
"""No single record of a simulation but a control record is larger."""


def check(context: Context, memory: Memory) -> None:
    """To be called behind a turn."""
    limits, fold, log = context.limits, context.fold, context.log
    window = limits.window
    calls = [*context.live.values()]
    requests = sum(len(call.request) for call in context.lease.inflight)
    largest = max((len(call.request) for call in context.lease.inflight), default=0)
    unsynced = sum(map(len, log.ring.since(log.durable + 1)))
    brains = len(context.brains)
    found = {
        "queue": (len(context.queue), limits.queue_max + 2 * window * (1 + brains)),
        "in flight": (len(context.lease.inflight), window),
        "bytes in flight": (requests, limits.window_bytes_max + largest),
        "deliveries": (context.lease.n, limits.deliveries_max),
        "reads": (max((len(b.reads) for b in context.brains.values()), default=0), window),
        "waiters": (max((len(call.waiters) for call in calls), default=0), limits.copies_max),
        "pending": (len(fold.pending), limits.pending_max),
        "pending bytes": (fold.pending_bytes, limits.pending_bytes_max),
        "timers": (len(context.timers), len(fold.pending)),
        "string keys": (len(fold.done.strings), memory.keys_max),
        "clients": (len(fold.done.clients), memory.clients_max),
        "outcomes of clients": (fold.done.entries, memory.entries_max),
        "unsynced bytes": (
            unsynced,
            UNSYNCED_FACTOR * log.ring.bytes_max + (window + 2) * RECORD_BYTES + log.control_size,
        ),
    }
    for what, (size, bound) in found.items():
        if size > bound:
            raise Violation(f"12: {what}: {size}, at most {bound}")
    counted = sum(len(window.done) for window in fold.done.clients.values())
    if counted != fold.done.entries:
        raise Violation(f"12: {fold.done.entries} outcomes are counted, {counted} are there")
