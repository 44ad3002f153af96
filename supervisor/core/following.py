"""Followers: who joins, who gets records, who lags and catches up. Pure."""

from typing import Final

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import deaths
from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.lease import Brain, Role
from osupervisor.supervisor.core.outbox import LoadBrain

FENCE_SLACK_US: Final = 5_000_000
"""How much longer than an op's own limit a brain may take to answer a fence."""


def ready(context: Context, brain: Brain, lsn: int, epoch: int) -> None:
    """A brain, perhaps a new one, has the state at `lsn`, whose record stands in `epoch`.

    One of another history is killed, and one that says `ready` unasked: what is on its way to it
    would reach it twice.
    """
    if brain.role is not Role.LOADING:
        deaths.disown(context, brain, "it said ready again, and was not asked to load")
        return
    at = context.fold.epoch_at(lsn)
    if lsn > context.log.last or at != epoch:
        reason = f"it has lsn {lsn} of epoch {epoch}; in this log that is epoch {at}"
        deaths.disown(context, brain, reason)
        return
    brain.sent = lsn
    context.brains[brain.id] = brain
    catch_up_or_load(context, brain)


def catch_up_or_load(context: Context, brain: Brain) -> None:
    """Send a follower what it lacks, when the ring still has it; else it loads from files."""
    ring = context.log.ring
    if not ring.holds(brain.sent + 1):
        brain.role = Role.LOADING
        context.out.actions.append(LoadBrain(brain.id, brain.sent))
        return
    newest = ring.since(brain.sent + 1)
    brain.stream(newest, sum(map(len, newest)))
    brain.role = Role.FOLLOWING


def stream(context: Context, records: list[bytes]) -> None:
    """Send records that were just written to every follower that is up to date."""
    size = sum(map(len, records))
    for brain in context.brains.values():
        if brain.role is Role.FOLLOWING:
            brain.stream(records, size)


def lagging(brain: Brain) -> None:
    """Too much waits to be sent to it: no more for now, if it follows."""
    if brain.role is Role.FOLLOWING:
        brain.role = Role.LAGGING


def drained(context: Context, brain: Brain) -> None:
    """All that waited was sent to it."""
    if brain.role is Role.LAGGING:
        catch_up_or_load(context, brain)


def fence(context: Context) -> None:
    """The holder is to undo what is not confirmed, and to follow. What it had goes back.

    The next lease does not wait for it: what it still sends is of an epoch that is over.
    """
    lease = context.lease
    holder = lease.holder
    assert holder is not None
    lease.confirm()
    holder.push(port.notify_frame("fence"))
    holder.role, holder.fencing_since_us = Role.FENCING, context.now_us
    context.put_back(lease.drop())


def fenced(context: Context, brain: Brain, lsn: int) -> None:
    """A former holder undid what was not confirmed, and follows from `lsn` on."""
    if brain.role is not Role.FENCING or lsn != brain.sent:
        reason = f"it fenced itself at lsn {lsn}; it is {brain.role.value}, confirmed {brain.sent}"
        deaths.disown(context, brain, reason)
        return
    catch_up_or_load(context, brain)


def check_fences(context: Context) -> None:
    """A brain that does not answer a fence is killed instead."""
    limit_us = context.limits.op_timeout_us + FENCE_SLACK_US
    for brain in list(context.brains.values()):
        if brain.role is Role.FENCING and context.now_us - brain.fencing_since_us > limit_us:
            reason = f"it did not answer a fence within {limit_us / 1e6:g} s"
            deaths.disown(context, brain, reason)
