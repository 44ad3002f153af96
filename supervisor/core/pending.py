"""Casts and timers that were asked for and are not done yet. Part of the fold. Pure.

The effects of a commit are a MessagePack array; effect i of the commit at (epoch, lsn) has the key
(epoch, lsn, i). `emit` is an event, whose store is the log: it never enters this table.

    ["emit", event, payload]   ["after", delay_us, op, args, kwargs]   ["cast", op, args, kwargs]

Of a cast or timer the op, args and kwargs are kept as the bytes they came in.
"""

from typing import Any, Final, NamedTuple

from osupervisor.bridge import packing
from osupervisor.bridge.errors import shown
from osupervisor.supervisor.core.key import PendingKey

NO_EFFECTS: Final = b"\x90"
"""An empty MessagePack array: what nearly every commit carries."""


DELAY_US_MAX: Final = 2**62
"""Over a hundred thousand years: more would not fit into a control record."""


class Pending(NamedTuple):
    """A request to be delivered once log time has reached `due_us`."""

    due_us: int
    call: bytes
    """op, args, kwargs: three MessagePack objects one behind the other."""


def parse_effects(
    effects: bytes, epoch: int, lsn: int, t_us: int
) -> list[tuple[PendingKey, Pending]]:
    """The casts and timers in a commit's effects, in order. `t_us`: the commit's log time.

    Raises ValueError where the bytes are not what a brain may send.
    """
    unpacker = packing.new_unpacker(len(effects) + 1)
    found: list[tuple[PendingKey, Pending]] = []
    try:
        unpacker.feed(effects)
        for index in range(unpacker.read_array_header()):
            members = unpacker.read_array_header()
            kind = unpacker.unpack()
            delay_us = 0
            if kind == "after":
                delay = unpacker.unpack()
                if not isinstance(delay, int) or not 0 <= delay <= DELAY_US_MAX:
                    raise ValueError(
                        f"effect {index}: delay {shown(delay, 100)} is not a duration in us"
                    )
                delay_us = delay
            if kind == "emit" and members == 3:
                unpacker.skip()
                unpacker.skip()
                continue
            if kind not in ("after", "cast") or members != (5 if kind == "after" else 4):
                raise ValueError(f"effect {index}: {shown(kind, 100)} with {members} members")
            start = unpacker.tell()
            for _ in range(3):
                unpacker.skip()
            call = effects[start : unpacker.tell()]
            found.append(((epoch, lsn, index), Pending(t_us + delay_us, call)))
    except packing.DECODE_ERRORS as error:
        raise ValueError(f"effects of lsn {lsn} are not MessagePack: {error!r}") from error
    return found


def dump(table: dict[PendingKey, Pending]) -> list[Any]:
    return [[*key, *pending] for key, pending in table.items()]


def restore(dumped: list[Any]) -> dict[PendingKey, Pending]:
    return {(e, lsn, i): Pending(due, call) for e, lsn, i, due, call in dumped}
