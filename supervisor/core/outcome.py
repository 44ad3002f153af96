"""Outcomes as bytes: the last two members of an answer, error and result. Pure.

    nil ++ result        a result
    error map ++ nil     an error: {"code", "message", "hint", "data"}

A brain's outcomes pass through unread; here are made those that are the supervisor's own.
"""

from typing import Final

from osupervisor.bridge import packing

_NIL: Final = b"\xc0"
_EMPTY_ARRAY: Final = b"\x90"


def error(code: str, message: str, hint: str, **data: object) -> bytes:
    return packing.pack({"code": code, "message": message, "hint": hint, "data": data}) + _NIL


def result(value: object) -> bytes:
    return _NIL + packing.pack(value)


def as_commit(outcome: bytes) -> bytes:
    """The commit part of a record that has an outcome, but neither operations nor effects."""
    empty = packing.pack(_EMPTY_ARRAY)
    return packing.pack(outcome) + empty + empty


def timeout_waiting(op: str, delivered: bool) -> bytes:
    """Nothing is decided by this: the same key may be asked again. `final` says so."""
    hint = (
        "it had been handed to the brain and may still take effect; ask again under the same key"
        if delivered
        else "it had not been started; call again, with a longer timeout_s if the service is busy"
    )
    message = f"{op}: its time was up while it waited"
    return error("Timeout", message, hint, delivered=delivered, final=False)


def timeout_hung(op: str, limit_us: int) -> bytes:
    """A verdict: its brain was killed, and it is not tried again."""
    return error(
        "Timeout",
        f"{op}: ran longer than {limit_us / 1e6:g} s; its brain was killed and its changes undone",
        "see `osupervisor crashes show` for where it hung; timeout_s or op.timeout_s allow more",
        delivered=True,
        final=True,
    )


def quarantined(op: str, strikes: int) -> bytes:
    return error(
        "Quarantined",
        f"{op}: {strikes} brains died while executing this request",
        "see `osupervisor deadletter ls`; mend the op, then `osupervisor deadletter retry`",
        strikes=strikes,
    )


def read_only(reason: str) -> bytes:
    return error(
        "ReadOnly",
        f"the log can't be written: {reason}",
        "this request did nothing; queries are served; call again under the same key, it heals by"
        " itself as soon as the disk takes writes",
    )


def helpless(reason: str) -> bytes:
    return error(
        "ReadOnly",
        f"no brain can execute this: {reason}",
        "this request did nothing; brain.state is served; mend the brain's code (`osupervisor"
        " crashes ls`, `osupervisor logs`), it is tried again by itself; call again under the same"
        " key",
    )


def overloaded(calls: int, size: int) -> bytes:
    return error(
        "Overloaded",
        f"{calls} requests of {size} bytes wait already",
        "this request did nothing; call again later under the same key"
        " (queue_max and queue_bytes_max are the bounds)",
    )


def too_large(op: str, size: int, bytes_max: int) -> bytes:
    """Final: it would be so again."""
    return error(
        "InvalidArguments",
        f"{op}: the request has {size} bytes, queue_bytes_max is {bytes_max}",
        "this request did nothing; ask for less at once, or raise queue_bytes_max",
        bytes=size,
    )


def not_durable(op: str) -> bytes:
    return error(
        "Unavailable",
        f"{op}: it was executed, the disk has not taken it yet, and too many wait for that",
        "call again later under the same key",
    )


def too_many_copies(op: str) -> bytes:
    return error(
        "Unavailable",
        f"{op}: too many copies of this call wait for its outcome",
        "this copy gave way to a newer one; call again under the same key",
    )


def too_much_pending(op: str, asked: int, pending: int) -> bytes:
    message = f"it asked for {asked} casts and timers while {pending} wait already"
    found = {
        "code": "OpFailed",
        "message": f"{op}: {message}; it was undone",
        "hint": "let a cast ask for the next one when it is done: what waits is bounded",
        "data": {"type": "TooMuchPending", "message": message, "traceback": ""},
    }
    return packing.pack(found) + _NIL


def forgotten(seen: int) -> bytes:
    return error(
        "ProtocolError",
        f"this client was silent for too long: it says it has the answers below {seen},"
        " and nothing is known of it",
        "whether the request took effect can't be told any more: take a new client id for new"
        " requests (idempotency.window_s is how long a silent client is remembered)",
        forgotten=True,
    )


def key_reused(op: str) -> bytes:
    return error(
        "ProtocolError",
        f"{op}: this key was used before, with another op or other arguments",
        "give each request a key of its own",
    )


def unreadable(lsn: int, reason: str) -> bytes:
    return error(
        "ProtocolError",
        f"this request took effect (record {lsn}), and its answer can't be read: {reason}",
        "don't send it again under another key; `osupervisor wal verify` looks at the log",
        lsn=lsn,
    )
