"""What the disk says: a batch written, cut short or refused; a sync done or failed. Pure.

event            what counts                       what follows
---------------  --------------------------------  --------------------------------------------
written          all of the batch                  fold, stream, confirm, answer
cut short        the records written whole         the same for them; the others never happened:
                                                   `ReadOnly`, fence, mode `readonly`
sync failed      all that was appended, unproved   no append, no acknowledgement; fence
healed           all retained, written again       d = L, answer what waited, a new lease
"""

from heapq import heappush

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import execution
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.key import PendingKey
from osupervisor.supervisor.core.lease import Brain, LeaseState
from osupervisor.supervisor.core.log_tail import Entry
from osupervisor.supervisor.core.outbox import BeginCheckpoint, Granted, LoadBrain
from osupervisor.supervisor.core.pending import Pending
from osupervisor.wal.record import Kind

STREAM_BYTES_MAX = 16 * 2**20
"""A follower with more than this unsent is no longer streamed to; it catches up from the ring or
the segment files when it has read what it was sent."""


def written(context: Context) -> None:
    """The whole batch is in the log."""
    batch = context.log.batch
    context.log.batch = []
    _settle(context, batch)


def cut_short(context: Context, whole: int, trouble: str) -> None:
    """Only the first `whole` records of the batch are in the log; the rest was cut off again."""
    log = context.log
    context.trouble = trouble
    batch, log.batch = log.batch, []
    kept = len(batch)
    records = 0
    for index, entry in enumerate(batch):
        if entry.record:
            if records == whole:
                kept = index
                break
            records += 1
    _settle(context, batch[:kept])
    log.next_lsn = log.last + 1
    again: list[Call] = []
    for entry in batch[kept:]:
        if entry.call is None or entry.kind is Kind.DEATH:
            continue
        if entry.call.query:
            again.append(entry.call)
        else:
            context.refuse_read_only(entry.call)
    context.queue.put_back(again)
    become_read_only(context, trouble)


def sync_failed(context: Context, trouble: str) -> None:
    """What was appended and is not known durable may be gone; nothing may rest on it."""
    cut_short(context, 0, trouble)


def become_read_only(context: Context, trouble: str) -> None:
    """Fence the primary and refuse what would have to be logged."""
    context.mode, context.trouble = Mode.READONLY, trouble
    lease = context.lease
    lease.epoch = context.fold.epoch
    if lease.state is LeaseState.GRANTING:
        lease.drop()
    elif lease.state is LeaseState.HELD and lease.holder is not None:
        holder, confirm = lease.holder, lease.confirm
        if confirm is not None:
            holder.push(port.confirm_frame(*confirm))
        holder.push(port.notify_frame("fence"))
        calls = lease.drop()
        lease.state, lease.holder = LeaseState.FENCING, holder
        lease.fencing_since_us = context.now_us
        context.queue.put_back(calls)
    refuse_queued(context)


def refuse_queued(context: Context) -> None:
    """In `readonly`: what would be logged is refused, queries stay."""
    for call in context.queue.remove_if(lambda call: not call.query):
        context.refuse_read_only(call)


def fenced(context: Context, brain: Brain, lsn: int) -> None:
    """The former holder undid what was not confirmed, and follows from `lsn` on."""
    lease = context.lease
    if lease.holder is brain and lease.state is LeaseState.FENCING:
        lease.drop()
        brain.sent = lsn
        catch_up_or_load(context, brain)


def synced(context: Context, lsn: int) -> None:
    """Every record up to `lsn` is durable."""
    for waiter, outcome, at in context.log.synced(lsn):
        context.answer_from(waiter, at, outcome)
    unshown = context.unshown
    while unshown and unshown[0][0][1] <= context.log.ack:
        key, pending = unshown.popleft()
        heappush(context.timers, (pending.due_us, key))


def healed(context: Context) -> None:
    """All that was retained is written again and durable: the log takes records."""
    context.mode, context.trouble = Mode.NORMAL, ""
    synced(context, context.log.last)
    for key, pending in context.fold.pending.items():
        if key not in context.on_way:
            heappush(context.timers, (pending.due_us, key))


def _settle(context: Context, entries: list[Entry]) -> None:
    """These entries are in the log: fold them, stream them, answer them."""
    records = [entry.record for entry in entries if entry.record]
    context.log.written(records)
    context.log.next_lsn = max(context.log.next_lsn, context.log.last + 1)
    stream(context, records)
    for entry in entries:
        if entry.kind is Kind.COMMIT:
            _settle_commit(context, entry)
        else:
            _settle_other(context, entry)
    lease = context.lease
    if records and lease.state is LeaseState.HELD:
        lease.confirm = (lease.written_n, context.log.last)
        if lease.written_n - lease.confirmed_n >= execution.CONFIRM_EVERY:
            execution.confirm(context)


def _settle_commit(context: Context, entry: Entry) -> None:
    call = entry.call
    assert call is not None
    if not entry.record:
        execution.show_query(context, call, entry.outcome)
        return
    context.leave(call)
    if entry.epoch == context.lease.epoch:
        context.lease.written_n = call.n
    asked = context.fold.commit(
        entry.lsn,
        entry.epoch,
        entry.t_us,
        call.key,
        call.seen,
        call.crc,
        entry.outcome,
        entry.effects,
    )
    if asked:
        _schedule(context, asked)
    for waiter in call.waiters:
        context.show(waiter, entry.lsn, entry.outcome)
    call.waiters.clear()


def _schedule(context: Context, asked: list[tuple[PendingKey, Pending]]) -> None:
    """Effects are carried out when their commit is acknowledged."""
    for key, pending in asked:
        if key[1] <= context.log.ack:
            heappush(context.timers, (pending.due_us, key))
        else:
            context.unshown.append((key, pending))


def _settle_other(context: Context, entry: Entry) -> None:
    fold, call = context.fold, entry.call
    match entry.kind:
        case Kind.VERDICT:
            assert call is not None
            context.leave(call)
            fold.verdict(entry.lsn, entry.t_us, call.key, call.seen, call.crc, entry.outcome)
            for waiter in call.waiters:
                context.show(waiter, entry.lsn, entry.outcome)
            call.waiters.clear()
        case Kind.DEATH:
            assert call is not None
            fold.death(entry.lsn, entry.t_us, call.key)
        case Kind.LEASE:
            holder = execution.granted(context, entry)
            if holder is not None:
                context.out.actions.append(Granted(holder.id, entry.epoch))
        case Kind.CONTROL:
            fold.count(entry.lsn, entry.t_us)
            context.log.control_written(entry.lsn, len(entry.record))
            if entry.checkpoint:
                _begin_checkpoint(context, entry)
        case Kind.COMMIT:
            raise AssertionError("commits are settled apart")


def _begin_checkpoint(context: Context, entry: Entry) -> None:
    """Let a follower write the checkpoint; without one the primary, which was made idle for it."""
    followers = [brain for brain in context.brains.values() if brain.streaming]
    lease = context.lease
    if followers:
        writer = max(followers, key=lambda brain: brain.id)
    elif lease.primary is not None and not lease.inflight:
        writer = lease.primary
        lease.confirm = (lease.written_n, entry.lsn)
        execution.confirm(context)
    else:
        return
    level = context.limits.checkpoint_level
    writer.push(port.notify_frame("checkpoint", entry.lsn, level))
    control = entry.outcome
    context.out.actions.append(BeginCheckpoint(writer.id, entry.lsn, entry.epoch, control))


def stream(context: Context, records: list[bytes]) -> None:
    """Send records that were just written to every follower that is up to date."""
    if not records:
        return
    size = sum(map(len, records))
    for brain in context.brains.values():
        if brain.streaming:
            brain.stream(records, size)


def catch_up_or_load(context: Context, brain: Brain) -> None:
    """Send a follower what it lacks, when the ring still has it; else it loads from files."""
    log = context.log
    if not log.ring.holds(brain.sent + 1):
        brain.loading = True
        context.out.actions.append(LoadBrain(brain.id, brain.sent))
        return
    newest = log.ring.since(brain.sent + 1)
    brain.stream(newest, sum(map(len, newest)))
    brain.streaming = True
