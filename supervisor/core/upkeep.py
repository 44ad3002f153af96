"""What time brings: timers, timeouts, control records, checkpoints, forks. Pure.

And reads without a lease, while the log takes no records.
"""

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import admission, execution
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.lease import Brain, LeaseState
from osupervisor.supervisor.core.outbox import ForkBrain, KillBrain
from osupervisor.wal.record import Kind

FENCE_SLACK_US = 5_000_000
"""How much longer than an op's own limit a brain may take to answer a fence."""


def pump(context: Context) -> None:
    """Do all that can be done now: grant, admit what is due, deliver, read, keep house."""
    if context.mode is Mode.READONLY:
        _serve_reads(context)
        return
    execution.grant(context)
    timers = context.timers
    if timers and timers[0][0] <= context.now_us:
        queue = context.queue
        admission.admit_due(context, max(0, queue.calls_max - len(queue)))
    if context.forks_wanted:
        _fork(context)
    if not context.log.batch and (context.checkpoint_wanted or context.log.control_due):
        _control(context)
        if context.log.batch:
            return
    _release(context)
    execution.deliver(context)


def _control(context: Context) -> None:
    """Append the whole fold. Only onto an empty batch: the fold holds what is written, no more."""
    checkpoint = False
    if context.checkpoint_wanted:
        checkpoint = any(brain.streaming for brain in context.brains.values()) or _idle(context)
        if not checkpoint and not context.log.control_due:
            return
        if checkpoint:
            context.checkpoint_wanted = False
            context.hold = not any(brain.streaming for brain in context.brains.values())
    control = context.fold.dump()
    context.add_record(Kind.CONTROL, request=control, outcome=control, checkpoint=checkpoint)


def _idle(context: Context) -> bool:
    """Whether the primary has nothing in flight; if it has, nothing more is delivered till then."""
    lease = context.lease
    if lease.primary is None:
        return False
    context.hold = bool(lease.inflight)
    return not context.hold


def _fork(context: Context) -> None:
    """Fork new followers from a follower, else from the primary when it is idle."""
    source = next((brain for brain in context.brains.values() if brain.streaming), None)
    if source is None:
        if context.log.batch or not _idle(context):
            return
        source = context.lease.primary
        assert source is not None
        lease = context.lease
        lease.confirm = (lease.written_n, context.log.last)
        execution.confirm(context)
    while context.forks_wanted:
        brain = context.forks_wanted.popleft()
        source.push(port.notify_frame("spawn", brain))
        context.out.actions.append(ForkBrain(source.id, brain))


def _release(context: Context) -> None:
    """End the hold when nothing is left that needs an idle primary."""
    if context.hold and not (
        context.forks_wanted or context.checkpoint_wanted or context.log.batch
    ):
        context.hold = False


def _serve_reads(context: Context) -> None:
    """Without a log that takes records, queries are executed by any follower that has all of it."""
    log, queue = context.log, context.queue
    if not queue or log.last > log.ack:
        return
    reader = _reader(context)
    if reader is None:
        return
    while queue:
        call = queue.pop()
        context.reads += 1
        message_id = port.READ_ID_MIN + context.reads
        context.fix_request(call)
        reader.reads[message_id] = call
        call.barrier = log.last
        if call.method == "call":
            reader.push(port.read_frame(message_id, call.request))
        else:
            reader.push(port.read_state_frame(message_id, call.request))


def _reader(context: Context) -> Brain | None:
    return next(
        (
            brain
            for brain in context.brains.values()
            if brain.streaming and brain.sent == context.log.last
        ),
        None,
    )


def read_done(context: Context, brain: Brain, message_id: int, outcome: bytes) -> None:
    """A follower answered a query."""
    call = brain.reads.pop(message_id, None)
    if call is not None:
        execution.show_query(context, call, outcome)


def expire(context: Context, executing: int) -> None:
    """Answer `Timeout` to those who waited too long. `executing`: the n that runs now, 0 if none.

    Of a call that nobody waits for any more, what was not delivered is dropped.
    """
    now = context.now_us
    late: list[Call] = []
    for call in context.live.values():
        if call.n == executing and executing and call in context.lease.inflight:
            continue
        limit = call.admitted_us + (call.timeout_us or context.limits.wait_timeout_us)
        if call.waiters and now > limit:
            late.append(call)
    for call in late:
        outcome = outcomes.timeout_waiting(call.op, call.deliveries > 0)
        context.answer(call, outcome)
    if late:
        gone = {id(call) for call in late if call.deliveries == 0}
        for call in context.queue.remove_if(lambda call: id(call) in gone):
            context.leave(call)


def check_fence(context: Context) -> None:
    """A brain that does not answer a fence is killed instead."""
    lease = context.lease
    if lease.state is LeaseState.FENCING and lease.holder is not None:
        limit = context.limits.op_timeout_us + FENCE_SLACK_US
        if context.now_us - lease.fencing_since_us > limit:
            reason = f"it did not answer a fence within {limit / 1e6:g} s"
            context.out.actions.append(KillBrain(lease.holder.id, reason))
            lease.fencing_since_us = context.now_us
