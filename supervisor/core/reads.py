"""Queries without a lease, by any follower that has all of the log. Pure.

That is while the log takes no records, and reads of the state while no brain can hold the lease.
They are executed in order, one by one, each answered at once. Nobody is blamed for a death here:
a query that may have killed a brain waits for a lease.
"""

from typing import Final

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import deaths
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context
from osupervisor.supervisor.core.lease import Brain, Role

READ_SLACK_US: Final = 1_000_000
"""How much longer than its limit a query may take: here nobody sees when it begins."""


def serve(context: Context) -> None:
    """Hand queued queries to a follower, up to the window."""
    log, queue = context.log, context.queue
    if not queue or log.last > log.ack:
        return
    reader = _reader(context)
    if reader is None:
        return
    room = context.limits.window - len(reader.reads)
    calls = queue.remove_if(lambda call: _is_readable(context, reader, call))
    queue.put_back(calls[room:])
    for call in calls[:room]:
        _read(context, reader, call)


def _is_readable(context: Context, reader: Brain, call: Call) -> bool:
    """A safe brain has the state, and knows none of the queries."""
    if reader.safe and call.method != "state":
        return False
    return not call.suspect and call.key not in context.fold.strikes


def _reader(context: Context) -> Brain | None:
    """Whoever has the whole log, and room for more."""
    last, window = context.log.last, context.limits.window
    for brain in sorted(context.brains.values(), key=lambda brain: brain.safe):
        if brain.role is Role.FOLLOWING and brain.sent == last and len(brain.reads) < window:
            return brain
    return None


def _read(context: Context, reader: Brain, call: Call) -> None:
    context.reads += 1
    message_id = port.READ_ID_MIN + context.reads
    context.fix_request(call)
    call.barrier = context.log.last
    if not reader.reads:
        reader.reading_since_us = context.now_us
    reader.reads[message_id] = call
    if call.method == "call":
        reader.push(port.read_frame(message_id, call.request))
    else:
        reader.push(port.read_state_frame(message_id, call.request))


def done(context: Context, brain: Brain, message_id: int, outcome: bytes) -> None:
    """A follower answered a query."""
    call = brain.reads.pop(message_id, None)
    if call is not None:
        brain.reading_since_us = context.now_us
        context.finish(call, call.barrier, outcome)


def check(context: Context) -> None:
    """A brain that hangs in a read is killed; what it hangs in waits for a lease."""
    for brain in list(context.brains.values()):
        if not brain.reads:
            continue
        first = next(iter(brain.reads.values()))
        limit_us = (first.timeout_us or context.limits.op_timeout_us) + READ_SLACK_US
        if context.now_us - brain.reading_since_us > limit_us:
            first.suspect = True
            reason = f"it did not answer {first.op} within {limit_us / 1e6:g} s"
            deaths.disown(context, brain, reason)
