"""What a brain's end means: what it was given goes back, and perhaps a request is to blame. Pure.

A brain that breaks the protocol is killed, and is dead to the core from that moment on: nothing
that it still says counts.
"""

from osupervisor.supervisor.core import verdict
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.lease import Brain, Delivery
from osupervisor.supervisor.core.outbox import KillBrain
from osupervisor.wal.record import Kind


def died(
    context: Context, brain: Brain, cell: int | None, *, blame: bool, hung: Delivery | None
) -> None:
    """A brain's process is gone, and its port was read to the end.

    `cell`: the n that it was executing, 0 for none; None where it can't tell, then the first in
    flight is meant. `blame`: nobody else caused the death. `hung`: it was killed for what it
    executed then for too long; that has its verdict unless it was received meanwhile. The cell
    does not tell: the call may have got through at last, with its answer still in the brain, and
    would do so again in every brain.

    A request may leave its brain in such a state that it dies a moment later, with 0 in its cell.
    So what is in flight at two deaths without a culprit is delivered alone from then on, one after
    the other, and a brain that dies with one of these in flight died of it. The same holds for a
    request that makes its brain break the protocol.
    """
    calls = _lose(context, brain, suspect_reads=blame)
    if hung is not None:
        _time_out(context, calls, hung)
    elif blame:
        _blame(context, calls, cell)
    context.put_back(calls)


def _time_out(context: Context, calls: list[Call], hung: Delivery) -> None:
    """A verdict for the call that was delivered so, which then leaves `calls`."""
    epoch, n = hung
    late = _suspect(calls, n) if epoch == context.lease.epoch else None
    if late is not None:
        calls.remove(late)
        verdict.time_out(context, late)


def _blame(context: Context, calls: list[Call], cell: int | None) -> None:
    suspect = _suspect(calls, cell)
    if suspect is None:
        if len(calls) == 1 and calls[0].is_alone:
            suspect = calls[0]
        for call in calls:
            call.deaths += 1
    if suspect is not None:
        _strike(context, calls, suspect)


def halted(context: Context, brain: Brain) -> None:
    """A brain was ended because it was stopped by a signal, or gave no sign of life while it
    executed nothing; its port was read to the end.

    Mostly somebody else did that, so that its cell blames nobody. But a request may do it too, and
    would in every brain: what is in flight at two such deaths goes alone, as in `died`. A query
    that a follower read at two of them waits for a lease.
    """
    first = next(iter(brain.reads.values()), None)
    if first is not None:
        first.deaths += 1
    calls = _lose(context, brain, suspect_reads=first is not None and first.is_alone)
    _blame(context, calls, 0)
    context.put_back(calls)


def outgrew(context: Context, brain: Brain, cell: int, within_n: int) -> None:
    """A brain was ended because it took more memory than it may; its port was read to the end.

    What grew may be the state, or what an earlier request left: that the brain executes a call
    just then makes it a suspect and no more, so that at the second such death it goes alone.
    `within_n`: the delivery that went alone, and before which the brain was found within its limit.
    If it is that one's, nobody else can have made the brain grow. A query that a follower read
    is suspected at once: it waits for a lease.
    """
    calls = _lose(context, brain, suspect_reads=True)
    suspect = _suspect(calls, cell)
    if suspect is not None and suspect.is_alone and suspect.n == within_n and len(calls) == 1:
        _strike(context, calls, suspect)
    elif suspect is not None:
        suspect.deaths += 1
    context.put_back(calls)


def disown(context: Context, brain: Brain, reason: str, blamed: Call | None = None) -> None:
    """End a brain that broke the protocol. `blamed`: the call in flight that made it do so, where
    that is known."""
    context.out.actions.append(KillBrain(brain.id, reason))
    calls = _lose(context, brain, suspect_reads=False)
    if blamed is not None:
        _strike(context, calls, blamed)
    else:
        _blame(context, calls, 0)
    context.put_back(calls)


def _lose(context: Context, brain: Brain, *, suspect_reads: bool) -> list[Call]:
    """Forget the brain. Its reads go back; returns what it had in flight as the holder.

    Reads are executed in order and answered at once: a death meets the first of them.
    """
    context.brains.pop(brain.id, None)
    reads = list(brain.reads.values())
    brain.reads.clear()
    if reads and suspect_reads:
        reads[0].suspect = True
    context.put_back(reads)
    return context.lease.drop() if context.lease.holder is brain else []


def _suspect(calls: list[Call], cell: int | None) -> Call | None:
    if cell is None:
        return calls[0] if calls else None
    return next((call for call in calls if call.n == cell), None) if cell else None


def _strike(context: Context, calls: list[Call], suspect: Call) -> None:
    """A death for the call; at the last it leaves `calls`, quarantined."""
    context.add_record(Kind.DEATH, suspect.key_bytes, call=suspect)
    if context.fold.strikes.get(suspect.key, 0) + 1 >= context.limits.strikes_max:
        calls.remove(suspect)
        verdict.quarantine(context, suspect)


def owed(context: Context, brain: int, cell: int) -> Delivery | None:
    """The delivery whose answer the primary owes next, while its cell names nothing that it
    was given. None: the cell says what it does, or it owes none."""
    lease = context.lease
    holder = lease.primary
    if holder is None or holder.id != brain or not lease.inflight:
        return None
    for call in lease.inflight:
        if call.n == cell:
            return None
    return lease.epoch, lease.inflight[0].n


def overdue(context: Context, brain: int, cell: int, running_us: int) -> Call | None:
    """The call that the primary executes beyond its time, if there is one."""
    lease = context.lease
    if cell == 0 or lease.holder is None or lease.holder.id != brain:
        return None
    for call in lease.inflight:
        if call.n == cell:
            return call if running_us > (call.timeout_us or context.limits.op_timeout_us) else None
    return None
