"""Execution: the lease, deliveries, and what comes back. Pure.

At most W calls are delivered and unlogged. The holder executes them strictly in order, so its
responses come in the order of n; anything else is its bug and ends it. What an older holder still
sends is dropped: its epoch is over. So is a lease that has used up its numbers.
"""

from typing import Final

from librt.strings import BytesWriter

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import deaths, following, verdict
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.lease import Brain, LeaseState, Role
from osupervisor.supervisor.core.log_tail import Entry
from osupervisor.supervisor.core.outbox import GoesAlone
from osupervisor.supervisor.core.pending import NO_EFFECTS, parse_effects
from osupervisor.supervisor.core.response import Response
from osupervisor.wal.record import Kind, encode

_COMMIT: Final = Kind.COMMIT  # Looking up a member costs as much as a comparison.
_HELD: Final = LeaseState.HELD

CONFIRM_EVERY: Final = 64
"""A confirm is sent with the next delivery, and at the latest after so many commits: it bounds the
undo lists, and costs a closed loop no frame of its own."""


def renew(context: Context) -> None:
    """End a lease that has used up its numbers, as soon as nothing is delivered and unlogged: then
    there is nothing to undo and to deliver again."""
    lease = context.lease
    if lease.state is not LeaseState.HELD or lease.n < context.limits.deliveries_max:
        return
    if not lease.inflight and not context.log.batch:
        following.fence(context)


def grant(context: Context) -> None:
    """Begin a lease, when there is none and somebody can hold it."""
    lease = context.lease
    if lease.state is not LeaseState.VACANT or context.mode is not Mode.NORMAL or context.retired:
        return
    followers = (brain for brain in context.brains.values() if brain.role is Role.FOLLOWING)
    able = [brain for brain in followers if not brain.safe]
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
    if context.helpless:
        context.helpless = ""
        context.plan_timers()
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
    room = min(limits.window - len(inflight), limits.deliveries_max - lease.n)
    if room <= 0 or context.log.is_full or (inflight and inflight[0].is_alone):
        return
    lease.confirm()
    writer, epoch, n = BytesWriter(), lease.epoch, lease.n
    size, size_max = lease.inflight_bytes, limits.window_bytes_max
    strikes = context.fold.strikes
    calls = queue.calls
    while room > 0 and calls and size < size_max:
        if calls[0].deaths:  # rare; asked first, as this is a hot path
            if calls[0].is_alone and inflight:
                break
            if calls[0].is_alone:
                room = 1
                context.out.actions.append(GoesAlone(holder.id, n + 1))
        call = calls.popleft()
        queue.size_bytes -= call.size
        if not call.request:
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
            port.write_call(writer, n, epoch, call.key_bytes, call.request)
        else:
            port.write_state(writer, n, epoch, call.request)
    if len(writer):
        holder.out.append(writer.getvalue())
    lease.n, lease.inflight_bytes = n, size


def receive(context: Context, brain: Brain, responses: list[Response]) -> None:
    """The next responses of a brain. What comes behind one that ends its lease is dropped; one of
    an older epoch counts for nothing by itself."""
    lease, log = context.lease, context.log
    inflight, batch, t_us, durable = lease.inflight, log.batch, context.now_us, log.durable
    for response in responses:
        epoch, effects = response.epoch, response.effects
        if lease.holder is not brain or lease.state is not _HELD:
            return
        if epoch < lease.epoch:
            continue
        if not inflight or inflight[0].n != response.n or epoch != lease.epoch:
            reason = f"response {response.n} of epoch {epoch} is not the one due"
            deaths.disown(context, brain, reason)
            return
        call, outcome = inflight[0], response.outcome
        if effects is None:
            _take(context)
            _receive_query(context, call, epoch, outcome)
            continue
        if effects != NO_EFFECTS and not _may_ask(context, brain, call, effects):
            return
        # As `_take` and `Context.add_record`, without the cost of calling them.
        inflight.popleft()
        request, key, lsn = call.request, call.key_bytes, log.next_lsn
        lease.inflight_bytes -= len(request)
        record = encode(lsn, epoch, _COMMIT, t_us, durable, key, request, response.commit)
        batch.append(Entry(_COMMIT, record, lsn, epoch, t_us, call, outcome, effects))
        log.next_lsn = lsn + 1


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
