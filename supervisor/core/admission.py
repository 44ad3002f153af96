"""Admission: what becomes of a call at its arrival. Pure.

In this order: below the client's `seen`, it is dropped, as the client has that answer. In `done`,
it is answered from there. On its way, it waits with the first copy. Of a client that was
forgotten, it is refused, as it may have been executed. Only then `ReadOnly` or `Overloaded`, which
are promises that this delivery did nothing.
"""

from heapq import heappop
from typing import Final

from osupervisor.bridge import packing
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.context import Context, Mode
from osupervisor.supervisor.core.done import FLOOR_ALL, Done
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.core.key import is_client_key
from osupervisor.wal.checksum import crc32

_READONLY: Final = Mode.READONLY  # Looking up an enum's member costs as much as a comparison.


def admit(context: Context, call: Call) -> None:
    """Take in a client's call with its one waiter. One without a key gets one by `name` first."""
    key = call.key
    done: Done | None = None
    forgotten = False
    if is_client_key(key):
        table = context.fold.done
        client, number = key
        window = table.clients.get(client)
        if window is None:
            forgotten = table.may_be_forgotten(client, call.seen, context.now_us)
        elif number < window.seen:
            return
        else:
            done = window.done.get(number)
            floor = window.floor
            forgotten = floor > 0 and (number < floor or floor == FLOOR_ALL)
    elif type(key) is str:
        done = context.fold.done.get(key)
    if done is not None:
        _answer_done(context, call, done)
        return
    first = context.live.get(key)
    if first is not None:
        _join(context, first, call)
    elif forgotten:
        context.answer(call, outcomes.forgotten(call.seen))
    else:
        _enter(context, call)


def name(context: Context, call: Call) -> None:
    """Give a call without a key the name under which strikes count: (boot, arrival)."""
    context.arrivals += 1
    call.key = (context.boot, context.arrivals)
    call.key_bytes = encode_key(call.key, 0)


def _enter(context: Context, call: Call) -> None:
    queue = context.queue
    size = call.size = len(call.params) + len(call.key_bytes)
    if context.helpless and call.method != "state":
        context.answer(call, outcomes.helpless(context.helpless))
        return
    if not call.query:
        if context.mode is _READONLY:
            context.answer(call, outcomes.read_only(context.trouble))
            return
        pending = context.fold.pending
        if pending and context.is_pending_full:
            context.answer(call, outcomes.overloaded(len(pending), context.fold.pending_bytes))
            return
    calls, size_bytes = queue.calls, queue.size_bytes + size
    if len(calls) >= queue.calls_max or size_bytes > queue.bytes_max:
        if size > queue.bytes_max:
            context.answer(call, outcomes.too_large(call.op, size, queue.bytes_max))
        else:
            context.answer(call, outcomes.overloaded(len(calls), queue.size_bytes))
        return
    context.live[call.key] = call
    calls.append(call)
    queue.size_bytes = size_bytes


def _join(context: Context, first: Call, copy: Call) -> None:
    """Wait with the first copy, each for its own time; of too many the oldest gives way."""
    if first.crc != copy.crc:
        context.answer(copy, outcomes.key_reused(copy.op))
        return
    until_us = copy.waits_until_us(context.limits.wait_timeout_us)
    for waiter in copy.waiters:
        waiter.until_us = until_us
    waiters = first.waiters
    waiters.extend(copy.waiters)
    if len(waiters) > context.limits.copies_max:
        context.out.answers.append((waiters.pop(0), outcomes.too_many_copies(copy.op)))


def _answer_done(context: Context, call: Call, done: Done) -> None:
    if done.crc != call.crc:
        context.answer(call, outcomes.key_reused(call.op))
    else:
        context.show(call, done.lsn, done.outcome)


def admit_due(context: Context) -> None:
    """Put the casts and timers that are due into the queue, as far as it has room: for a window of
    them there always is, so that clients can't keep them out."""
    timers, queue, on_way = context.timers, context.queue, context.on_way
    room = max(context.limits.window - len(on_way), queue.calls_max - len(queue))
    while timers and timers[0][0] <= context.now_us and room > 0:
        _, key = heappop(timers)
        pending = context.fold.pending.get(key)
        if pending is None or key in on_way:
            continue
        room -= 1
        on_way.add(key)
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
            size=len(pending.call),
        )
        context.live[key] = call
        queue.append(call)


def _op_of(params: bytes) -> str:
    unpacker = packing.new_unpacker(len(params) + 1)
    unpacker.feed(params)
    return str(unpacker.unpack())
