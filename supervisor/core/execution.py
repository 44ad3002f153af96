"""Execution: the lease, deliveries, what comes back, and what a death means. Pure.

At most W calls are delivered and unlogged. The holder executes them strictly in order, so its
responses come in the order of n; anything else is its bug and ends it. What an older holder still
sends is dropped: its epoch is over.
"""

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.lease import Brain, LeaseState
from osupervisor.supervisor.core.log_tail import Entry
from osupervisor.supervisor.core.outbox import KeepDeadLetter, KillBrain
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
    able = [brain for brain in context.brains.values() if brain.streaming]
    if not able:
        return
    holder = min(able, key=lambda brain: brain.id)
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
    if not holder.streaming:
        lease.drop()
        return None
    lease.state, lease.confirm = LeaseState.HELD, None
    lease.n = lease.written_n = lease.confirmed_n = 0
    holder.push(port.notify_frame("lease", lease.epoch, entry.lsn))
    holder.streaming = False
    return holder


def deliver(context: Context) -> None:
    """Hand queued calls to the primary, up to the window."""
    lease, queue = context.lease, context.queue
    holder = lease.holder
    if lease.state is not LeaseState.HELD or holder is None or not queue or context.hold:
        return
    inflight = lease.inflight
    room = context.limits.window - len(inflight)
    if room > 0 and lease.confirm is not None:
        confirm(context)
    out, epoch, n = holder.out, lease.epoch, lease.n
    strikes = context.fold.strikes
    while room > 0 and queue:
        call = queue.pop()
        context.fix_request(call)
        if strikes and strikes.get(call.key, 0) >= context.limits.strikes_max:
            quarantine(context, call)
            continue
        n += 1
        room -= 1
        call.n = n
        call.deliveries += 1
        inflight.append(call)
        if call.method == "call":
            out.append(port.call_frame(n, epoch, call.key_bytes, call.request))
        else:
            out.append(port.state_frame(n, epoch, call.request))
    lease.n = n


def confirm(context: Context) -> None:
    """Tell the primary up to where its work is logged, so that it forgets how to undo it."""
    lease = context.lease
    if lease.confirm is not None and lease.holder is not None:
        lease.holder.push(port.confirm_frame(*lease.confirm))
        lease.confirmed_n, lease.confirm = lease.confirm[0], None


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
    if lease.holder is not brain or lease.state is not LeaseState.HELD or epoch != lease.epoch:
        return
    if not lease.inflight or lease.inflight[0].n != n:
        _break(context, brain, f"response {n} is not the one due")
        return
    call = lease.inflight[0]
    if effects is None:
        lease.inflight.popleft()
        _receive_query(context, call, epoch, outcome)
        return
    if effects != NO_EFFECTS:
        try:
            parse_effects(effects, epoch, context.log.next_lsn, context.now_us)
        except ValueError as error:
            _break(context, brain, str(error))
            return
    lease.inflight.popleft()
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


def _receive_query(context: Context, call: Call, epoch: int, outcome: bytes) -> None:
    """A query's answer rests on every commit before it, and is shown when those are."""
    call.barrier = context.log.next_lsn - 1
    if context.log.batch:
        context.log.add(Entry(Kind.COMMIT, b"", call.barrier, epoch, 0, call, outcome, b""))
        return
    show_query(context, call, outcome)


def show_query(context: Context, call: Call, outcome: bytes) -> None:
    context.leave(call)
    for waiter in call.waiters:
        context.show(waiter, call.barrier, outcome)
    call.waiters.clear()


def quarantine(context: Context, call: Call) -> None:
    """The final answer to a request that killed too many brains."""
    strikes = max(context.fold.strikes.get(call.key, 0), context.limits.strikes_max)
    outcome = outcomes.quarantined(call.op, strikes)
    context.out.actions.append(KeepDeadLetter(call.key, call.op, call.request, outcome))
    _verdict(context, call, outcome)


def _verdict(context: Context, call: Call, outcome: bytes) -> None:
    commit = outcomes.as_commit(outcome)
    request = call.request if call.method == "call" else b"\x91" + call.request + bytes(18)
    context.add_record(Kind.VERDICT, call.key_bytes, request, commit, call=call, outcome=outcome)


def died(context: Context, brain: Brain, cell: int | None, *, blame: bool, hung: bool) -> None:
    """A brain's process is gone, and its port was read to the end.

    `cell`: the n that it was executing, 0 for none; None where it can't tell, then the first in
    flight is meant. `blame`: nobody else caused the death. `hung`: it was killed for a deadline.
    """
    context.brains.pop(brain.id, None)
    _take_back_reads(context, brain)
    lease = context.lease
    if lease.holder is not brain:
        return
    fencing = lease.state is LeaseState.FENCING
    calls = lease.drop()
    if fencing:
        return
    suspect = _suspect(calls, cell)
    if suspect is not None and hung:
        calls.remove(suspect)
        limit = suspect.timeout_us or context.limits.op_timeout_us
        _verdict(context, suspect, outcomes.timeout_hung(suspect.op, limit))
    elif suspect is not None and blame:
        context.add_record(Kind.DEATH, suspect.key_bytes, call=suspect)
        strikes = context.fold.strikes.get(suspect.key, 0) + 1
        if strikes >= context.limits.strikes_max:
            calls.remove(suspect)
            quarantine(context, suspect)
    context.queue.put_back(calls)
    grant(context)


def _suspect(calls: list[Call], cell: int | None) -> Call | None:
    if cell is None:
        return calls[0] if calls else None
    return next((call for call in calls if call.n == cell), None) if cell else None


def _take_back_reads(context: Context, brain: Brain) -> None:
    calls = list(brain.reads.values())
    brain.reads.clear()
    context.queue.put_back(calls)


def _break(context: Context, brain: Brain, reason: str) -> None:
    context.out.actions.append(KillBrain(brain.id, reason))


def overdue(context: Context, brain: int, cell: int, running_us: int) -> Call | None:
    """The call that the primary executes beyond its time, if there is one."""
    lease = context.lease
    if cell == 0 or lease.holder is None or lease.holder.id != brain:
        return None
    for call in lease.inflight:
        if call.n == cell:
            return call if running_us > (call.timeout_us or context.limits.op_timeout_us) else None
    return None
