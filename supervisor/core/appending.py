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
from typing import Final

from osupervisor.bridge import port_messages as port
from osupervisor.supervisor.core import execution, following
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.key import PendingKey
from osupervisor.supervisor.core.lease import LeaseState
from osupervisor.supervisor.core.log_tail import Entry
from osupervisor.supervisor.core.outbox import BeginCheckpoint, Granted
from osupervisor.supervisor.core.pending import Pending
from osupervisor.wal.record import Kind

_COMMIT: Final = Kind.COMMIT  # Looking up an enum's member costs as much as a comparison.


def written(context: Context) -> None:
    """The whole batch is in the log."""
    batch = context.log.batch
    context.log.batch = []
    context.promised = context.promised_bytes = 0
    _settle(context, batch)


def cut_short(context: Context, whole: int, trouble: str) -> None:
    """Only the first `whole` records of the batch are in the log; the rest was cut off again."""
    log = context.log
    context.trouble = trouble
    batch, log.batch = log.batch, []
    context.promised = context.promised_bytes = 0
    kept = _kept(batch, whole)
    _settle(context, batch[:kept])
    log.next_lsn = log.last + 1
    for entry in reversed(batch[kept:]):
        _undo(context, entry)
    become_read_only(context, trouble)


def _kept(batch: list[Entry], whole: int) -> int:
    """How many entries count when the first `whole` records are in the log."""
    for index, entry in enumerate(batch):
        if entry.record:
            if whole == 0:
                return index
            whole -= 1
    return len(batch)


def _undo(context: Context, entry: Entry) -> None:
    """An entry that never happened. An op is refused; a query may be executed again, one that
    killed or hung a brain only where that is counted."""
    context.checkpoint_wanted |= entry.checkpoint
    call = entry.call
    if call is None:
        return
    if call.query and entry.kind is not Kind.COMMIT:
        call.suspect = True
    if entry.kind is Kind.DEATH:
        return
    if call.query:
        context.put_back([call])
    else:
        context.refuse_read_only(call)


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
    elif lease.state is LeaseState.HELD:
        following.fence(context)
    for call in context.queue.remove_if(lambda call: not call.query):
        context.refuse_read_only(call)


def synced(context: Context, lsn: int) -> None:
    """Every record up to `lsn` is durable."""
    for parked in context.log.synced(lsn):
        context.answer_from(parked.waiter, parked.lsn, parked.outcome)
    unshown = context.unshown
    while unshown and unshown[0][0][1] <= context.log.ack:
        key, pending = unshown.popleft()
        heappush(context.timers, (pending.due_us, key))


def healed(context: Context) -> None:
    """All that was retained is written again and durable: the log takes records."""
    context.mode, context.trouble = Mode.NORMAL, ""
    synced(context, context.log.last)
    context.plan_timers()


def _settle(context: Context, entries: list[Entry]) -> None:
    """These entries are in the log: fold them, stream them, answer them."""
    records = [entry.record for entry in entries if entry.record]
    if records:
        context.log.written(records)
        following.stream(context, records)
    lease, fold = context.lease, context.fold
    for entry in entries:
        if entry.kind is not _COMMIT:
            _settle_other(context, entry)
            continue
        call, lsn, epoch, outcome = entry.call, entry.lsn, entry.epoch, entry.outcome
        assert call is not None
        if entry.record:
            if epoch == lease.epoch:
                lease.written_n = call.n
            asked = fold.commit(
                lsn, epoch, entry.t_us, call.key, call.seen, call.crc, outcome, entry.effects
            )
            if asked:
                _schedule(context, asked)
        context.finish(call, lsn, outcome)
    primary = lease.primary
    if primary is not None and primary.sent != context.log.last:
        lease.unconfirmed_lsn = context.log.last
        if lease.written_n - lease.confirmed_n >= execution.CONFIRM_EVERY:
            lease.confirm()


def _schedule(context: Context, asked: list[tuple[PendingKey, Pending]]) -> None:
    """Effects are carried out when their commit is acknowledged."""
    log = context.log
    for key, pending in asked:
        if key[1] <= log.ack:
            heappush(context.timers, (pending.due_us, key))
        else:
            context.unshown.append((key, pending))
            log.awaited = key[1]


def _settle_other(context: Context, entry: Entry) -> None:
    fold, call = context.fold, entry.call
    match entry.kind:
        case Kind.VERDICT:
            assert call is not None
            fold.verdict(entry.lsn, entry.t_us, call.key, call.seen, call.crc, entry.outcome)
            context.finish(call, entry.lsn, entry.outcome)
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
    else:
        assert lease.primary is not None and not lease.inflight, "nobody can write it"
        writer = lease.primary
        lease.unconfirmed_lsn = entry.lsn
        lease.confirm()
    level = context.limits.checkpoint_level
    writer.push(port.notify_frame("checkpoint", entry.lsn, level))
    control = entry.outcome
    context.out.actions.append(BeginCheckpoint(writer.id, entry.lsn, entry.epoch, control))
