"""What time and the operator bring: timers, timeouts, control records, checkpoints, forks. Pure."""

from collections import deque

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import admission, execution, reads
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.lease import LeaseState
from osupervisor.supervisor.core.log_tail import Parked
from osupervisor.supervisor.core.outbox import ForkBrain
from osupervisor.wal.record import BODY_BYTES_MAX, Kind


def pump(context: Context) -> None:
    """Do all that can be done now: fork, renew or grant the lease, admit what is due, deliver,
    read, keep house."""
    if context.fork_wanted:
        _fork(context)
    if context.mode is Mode.READONLY:
        reads.serve(context)
        return
    execution.renew(context)
    execution.grant(context)
    if context.helpless and context.lease.state is LeaseState.VACANT:
        _keep_house_helpless(context)
        return
    timers = context.timers
    if timers and timers[0][0] <= context.now_us:
        admission.admit_due(context)
    if not context.log.batch and (context.checkpoint_wanted or context.log.control_due):
        _control(context)
        if context.log.batch:
            return
    if context.hold:
        _release(context)
    execution.deliver(context)


def give_up(context: Context, reason: str) -> None:
    """Refuse what needs a brain that executes. Casts and timers stay pending."""
    if context.lease.state is not LeaseState.VACANT:
        return
    context.helpless = reason
    for call in context.queue.remove_if(lambda call: call.method != "state"):
        context.refuse_helpless(call)


def _keep_house_helpless(context: Context) -> None:
    """Reads and checkpoints, by the safe brain; nothing is delivered, and no timer fires."""
    if not context.log.batch and (context.checkpoint_wanted or context.log.control_due):
        _control(context)
    if not context.log.batch:
        reads.serve(context)


def _control(context: Context) -> None:
    """Append the whole fold. Only onto an empty batch: the fold holds what is written, no more."""
    follower = any(brain.streaming for brain in context.brains.values())
    checkpoint = context.checkpoint_wanted and (follower or _idle(context))
    if not checkpoint and not context.log.control_due:
        return
    control = context.fold.dump()
    if checkpoint:
        context.checkpoint_wanted = False
        context.hold = not follower
    if len(control) > BODY_BYTES_MAX:
        context.log.control_skipped(len(control))
        return
    context.add_record(Kind.CONTROL, request=control, outcome=control, checkpoint=checkpoint)


def _idle(context: Context) -> bool:
    """Whether the primary has nothing in flight; if it has, nothing more is delivered till then."""
    lease = context.lease
    if lease.primary is None:
        return False
    context.hold = bool(lease.inflight)
    return not context.hold


def want_fork(context: Context, brain: int) -> bool:
    """Have a follower with this id forked, unless another is to be already. False: nobody lives
    that it could be forked from."""
    followers = any(view.streaming and not view.safe for view in context.brains.values())
    if context.lease.state is LeaseState.VACANT and not followers:
        context.fork_wanted = 0
        return False
    context.fork_wanted = context.fork_wanted or brain
    return True


def _fork(context: Context) -> None:
    """Fork the new follower from a follower, else from the primary when it is idle."""
    living = context.brains.values()
    source = next((brain for brain in living if brain.streaming and not brain.safe), None)
    if source is None:
        if context.log.batch or not _idle(context):
            return
        source = context.lease.primary
        assert source is not None
        context.lease.unconfirmed_lsn = context.log.last
        context.lease.confirm()
    source.push(port.notify_frame("spawn", context.fork_wanted))
    context.out.actions.append(ForkBrain(source.id, context.fork_wanted))
    context.fork_wanted = 0


def _release(context: Context) -> None:
    """End the hold when nothing is left that needs an idle primary."""
    if not (context.fork_wanted or context.checkpoint_wanted or context.log.batch):
        context.hold = False


def expire(context: Context, executing: int) -> None:
    """Answer `Timeout` to those who waited too long. `executing`: the n that runs now, 0 if none.

    A call that nobody wants any more then is dropped.
    """
    now, out = context.now_us, context.out.answers
    wait_us = context.limits.wait_timeout_us
    expired = False
    for call in context.live.values():
        if not call.waiters or (executing and call.n == executing):
            continue
        until_us = call.waits_until_us(wait_us)
        late = [waiter for waiter in call.waiters if now > (waiter.until_us or until_us)]
        if late:
            expired = True
            call.waiters = [waiter for waiter in call.waiters if waiter not in late]
            outcome = outcomes.timeout_waiting(call.op, call.deliveries > 0)
            out.extend((waiter, outcome) for waiter in late)
    if expired:
        for call in context.queue.remove_if(lambda call: call.is_unwanted):
            context.leave(call)
    _expire_parked(context)


def _expire_parked(context: Context) -> None:
    """Those who wait for the disk wait no longer than for anything else."""
    log, now = context.log, context.now_us
    if not any(now > parked.waiter.until_us for parked in log.parked):
        return
    kept: deque[Parked] = deque()
    for parked in log.parked:
        if now > parked.waiter.until_us:
            outcome = outcomes.timeout_waiting(parked.op, delivered=True)
            context.out.answers.append((parked.waiter, outcome))
        else:
            kept.append(parked)
    log.parked = kept
