"""Admission: what becomes of a call at its arrival. Pure.

In this order: below the client's `seen`, it is dropped, as the client has that answer. In `done`,
it is answered from there. On its way, it waits with the first copy. Only then it may be refused,
because a refusal is a promise that this delivery did nothing.
"""

from heapq import heappop
from zlib import crc32

from osupervisor.bridge import packing
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.core.key import is_client_key


def admit(context: Context, call: Call) -> None:
    """Take in a client's call with its one waiter. One without a key gets one by `name` first."""
    key = call.key
    if is_client_key(key):
        window = context.fold.done.clients.get(key[0])
        if window is None:
            done_table = context.fold.done
            if done_table.may_be_forgotten(key[0], call.seen) and not _on_way(context, key[0]):
                context.answer(call, outcomes.forgotten(call.seen))
                return
        elif key[1] < window.seen:
            return
        else:
            done = window.done.get(key[1])
            if done is not None:
                _answer_done(context, call, done.lsn, done.crc, done.outcome)
                return
    elif type(key) is str:
        entry = context.fold.done.get(key)
        if entry is not None:
            _answer_done(context, call, entry.lsn, entry.crc, entry.outcome)
            return
    first = context.live.get(key)
    if first is not None:
        _join(context, first, call)
        return
    _enter(context, call)


def name(context: Context, call: Call) -> None:
    """Give a call without a key the name under which strikes count: (boot, arrival)."""
    context.arrivals += 1
    call.key = (context.boot, context.arrivals)
    call.key_bytes = encode_key(call.key, 0)


def _on_way(context: Context, client: bytes | str) -> bool:
    """Whether a call of this client is on its way: its first commit may not be written yet."""
    return any(type(key) is tuple and key[0] == client for key in context.live)


def _enter(context: Context, call: Call) -> None:
    if context.mode is Mode.READONLY and not call.query:
        context.answer(call, outcomes.read_only(context.trouble))
        return
    queue = context.queue
    if not queue.has_room(len(call.params) + len(call.key_bytes)):
        context.answer(call, outcomes.overloaded(len(queue), queue.size_bytes))
        return
    if len(context.fold.pending) >= context.limits.pending_max and not call.query:
        pending = len(context.fold.pending)
        context.answer(call, outcomes.overloaded(pending, queue.size_bytes))
        return
    context.live[call.key] = call
    queue.append(call)


def _join(context: Context, first: Call, copy: Call) -> None:
    if first.crc != copy.crc:
        context.answer(copy, outcomes.key_reused(copy.op))
        return
    first.waiters.extend(copy.waiters)


def _answer_done(context: Context, call: Call, lsn: int, crc: int, outcome: bytes | None) -> None:
    if crc != call.crc:
        context.answer(call, outcomes.key_reused(call.op))
        return
    for waiter in call.waiters:
        context.show(waiter, lsn, outcome)


def admit_due(context: Context, queue_free: int) -> None:
    """Put the casts and timers that are due into the queue, `queue_free` of them at most."""
    timers, fold = context.timers, context.fold
    while timers and timers[0][0] <= context.now_us and queue_free > 0:
        _, key = heappop(timers)
        pending = fold.pending.get(key)
        if pending is None or key in context.on_way:
            continue
        context.on_way.add(key)
        call = Call(
            key=key,
            key_bytes=encode_key(key, 0),
            seen=0,
            op=_op_of(pending.call),
            params=pending.call,
            crc=crc32(pending.call),
            waiters=[],
            admitted_us=context.now_us,
            timeout_us=context.limits.op_timeout_us,
        )
        context.live[key] = call
        context.queue.append(call)
        queue_free -= 1


def _op_of(params: bytes) -> str:
    unpacker = packing.new_unpacker(len(params) + 1)
    unpacker.feed(params)
    return str(unpacker.unpack())
