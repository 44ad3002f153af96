"""Execution: the lease, deliveries, and what comes back. Pure.

At most W calls are delivered and unlogged. The holder executes them strictly in order, so its
responses come in the order of n; anything else is its bug and ends it. What an older holder still
sends is dropped: its epoch is over.
"""

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import deaths, following, verdict
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.lease import Brain, LeaseState, Role
from osupervisor.supervisor.core.log_tail import Entry
from osupervisor.supervisor.core.pending import NO_EFFECTS, parse_effects
from osupervisor.wal.record import Kind

CONFIRM_EVERY = 64
"""A confirm is sent with the next delivery, and at the latest after so many commits: it bounds the
undo lists, and costs a closed loop no frame of its own."""


def grant(context: Context) -> None:
    """Begin a lease, when there is none and somebody can hold it."""
    lease = context.lease
    if lease.state is not LeaseState.VACANT or context.mode is not Mode.NORMAL:
        return
    able = [brain for brain in context.brains.values() if brain.role is Role.FOLLOWING]
    if not able:
        return
    holder = min(able, key=lambda brain: (bool(brain.reads), brain.id))
    lease.state, lease.holder = LeaseState.GRANTING, holder
    lease.epoch = max(lease.epoch, context.fold.epoch) + 1
    body = outcomes.result([holder.id, holder.version])
    context.add_record(Kind.LEASE, request=body, epoch=lease.epoch)


def granted(context: Context, entry: Entry) -> Brain | None:
    """The lease record is written and streamed: its holder may execute from now on.

    None: it died meanwhile, or fell so far behind that it wasn't streamed to; the lease falls back.
    """
    lease = context.lease
    context.fold.lease(entry.lsn, entry.epoch, entry.t_us)
    holder = lease.holder
    if lease.state is not LeaseState.GRANTING or holder is None or entry.epoch != lease.epoch:
        return None
    if holder.role is not Role.FOLLOWING:
        lease.drop()
        return None
    lease.state, holder.role = LeaseState.HELD, Role.LEADING
    lease.n = lease.written_n = lease.confirmed_n = lease.unconfirmed_lsn = 0
    holder.push(port.notify_frame("lease", lease.epoch, entry.lsn))
    return holder


def deliver(context: Context) -> None:
    """Hand queued calls to the primary, up to the window."""
    lease, queue, limits = context.lease, context.queue, context.limits
    holder = lease.holder
    if lease.state is not LeaseState.HELD or holder is None or not queue or context.hold:
        return
    inflight = lease.inflight
    room = limits.window - len(inflight)
    if room <= 0 or context.log.is_full:
        return
    lease.confirm()
    out, epoch, n = holder.out, lease.epoch, lease.n
    size, size_max = lease.inflight_bytes, limits.window_bytes_max
    strikes = context.fold.strikes
    while room > 0 and queue and size < size_max:
        call = queue.pop()
        context.fix_request(call)
        if strikes and strikes.get(call.key, 0) >= limits.strikes_max:
            verdict.quarantine(context, call)
            continue
        n += 1
        room -= 1
        size += len(call.request)
        call.n = n
        call.deliveries += 1
        inflight.append(call)
        if call.method == "call":
            out.append(port.call_frame(n, epoch, call.key_bytes, call.request))
        else:
            out.append(port.state_frame(n, epoch, call.request))
    lease.n, lease.inflight_bytes = n, size


def receive(
    context: Context,
    brain: Brain,
    n: int,
    epoch: int,
    outcome: bytes,
    effects: bytes | None,
    commit: bytes,
) -> None:
    """A response of the primary. `effects` is None for a query's; `commit` is its three bins."""
    lease = context.lease
    if lease.holder is not brain or lease.state is not LeaseState.HELD or epoch < lease.epoch:
        return
    inflight = lease.inflight
    if not inflight or inflight[0].n != n or epoch != lease.epoch:
        deaths.disown(context, brain, f"response {n} of epoch {epoch} is not the one due")
        return
    call = inflight[0]
    if effects is None:
        _take(context)
        _receive_query(context, call, epoch, outcome)
        return
    if effects != NO_EFFECTS and not _may_ask(context, brain, call, effects):
        return
    _take(context)
    context.add_record(
        Kind.COMMIT,
        call.key_bytes,
        call.request,
        commit,
        epoch=epoch,
        call=call,
        outcome=outcome,
        effects=effects,
    )


def _take(context: Context) -> None:
    """The head of what is in flight has come back."""
    lease = context.lease
    lease.inflight_bytes -= len(lease.inflight.popleft().request)


def _may_ask(context: Context, brain: Brain, call: Call, effects: bytes) -> bool:
    """Whether the effects are such, and not too many; else the commit does not count.

    Effects that are none count as a death of the call: another brain would send the same.
    """
    epoch, lsn = context.lease.epoch, context.log.next_lsn
    try:
        asked = parse_effects(effects, epoch, lsn, context.now_us)
    except ValueError as error:
        deaths.disown(context, brain, f"{call.op}: {error}", blamed=call)
        return False
    if context.promise(asked):
        return True
    _take(context)
    verdict.refuse_effects(context, call, len(asked))
    following.fence(context)
    return False


def _receive_query(context: Context, call: Call, epoch: int, outcome: bytes) -> None:
    """A query's answer rests on every commit before it, and is shown when those are."""
    call.barrier = context.log.next_lsn - 1
    if context.log.batch:
        context.log.add(Entry(Kind.COMMIT, b"", call.barrier, epoch, 0, call, outcome, b""))
        return
    context.finish(call, call.barrier, outcome)
