"""The idempotency table: which requests were executed, and what came out. Part of the fold. Pure.

Library keys stand per client: a window of the numbers from `seen` on, as large as what that
client has in flight; exact at any rate. String keys stand for `window_us` of log time or until
there are `keys_max` of them; the oldest go first. Eviction is by the record's time and by count,
never by a clock, so that the table comes out the same at every recovery.

An entry of a string key is one bytes object, because there may be 50,000 of them:

    byte 0        8       16      20        21
         +--------+-------+-------+---------+---------+
         | lsn    | t     | crc   | held    | outcome |
         +--------+-------+-------+---------+---------+

`crc` covers the request's op, args and kwargs. Outcomes above OUTCOME_HELD_BYTES_MAX are not held
(`held` = 0): they are read from the log by their LSN.
"""

import struct
from dataclasses import dataclass
from typing import Any, NamedTuple

from osupervisor.supervisor.core.key import ClientKey, Key, is_client_key

OUTCOME_HELD_BYTES_MAX = 256
"""Above this an outcome is read from the log: 50,000 keys then cost at most 30 MB."""

CLIENT_ID_BYTES = 16
"""The library's client ids: time of making, unix microseconds as a big-endian uint64, and 8 random
bytes."""

_ENTRY = struct.Struct(">QQIB")
_STEP = 6
"""Eviction is done in steps of 1/64."""


class Done(NamedTuple):
    """A request that was executed: where, with which parameters, its outcome (None: in the log)."""

    lsn: int
    crc: int
    outcome: bytes | None


@dataclass(slots=True)
class ClientWindow:
    """One client of the library: it has every answer below `seen`; `done` holds the others."""

    seen: int
    t_us: int
    done: dict[int, Done]


class DoneTable:
    """Executed requests by key, bounded by time and count.

    Eviction goes in steps of a 64th of the window or of the count: taking the oldest entry out of
    a dict one at a time would walk over the dead slots of all that went before.
    """

    __slots__ = (
        "clients",
        "clients_max",
        "evicted_us",
        "horizon_us",
        "keys_max",
        "strings",
        "window_us",
    )

    def __init__(self, window_us: int, keys_max: int, clients_max: int) -> None:
        self.window_us = window_us
        self.keys_max = keys_max
        self.clients_max = clients_max
        self.evicted_us = 0
        self.horizon_us = 0
        """A client whose last record is older may have been forgotten."""
        self.clients: dict[bytes | str, ClientWindow] = {}
        self.strings: dict[str, bytes] = {}

    def get(self, key: Key) -> Done | None:
        if type(key) is str:
            entry = self.strings.get(key)
            return None if entry is None else _unpack_entry(entry)
        if is_client_key(key):
            window = self.clients.get(key[0])
            return None if window is None else window.done.get(key[1])
        return None

    def put(self, key: Key, seen: int, lsn: int, t_us: int, crc: int, outcome: bytes) -> None:
        """Remember what a client's request came to. Pending and arrival keys are not kept."""
        held = outcome if len(outcome) <= OUTCOME_HELD_BYTES_MAX else None
        if type(key) is str:
            self.strings.pop(key, None)
            self.strings[key] = _ENTRY.pack(lsn, t_us, crc, held is not None) + (held or b"")
        elif is_client_key(key):
            self._put_client(key, seen, t_us, Done(lsn, crc, held))
        if (
            t_us - self.evicted_us >= self.window_us >> _STEP
            or len(self.strings) > self.keys_max
            or len(self.clients) > self.clients_max
        ):
            self._evict(t_us)

    def may_be_forgotten(self, client: bytes | str, seen: int) -> bool:
        """Whether a client that is not in the table may have been there once.

        The library's ids begin with the time of their making, so that this can be told exactly.
        Of any other id it is told by `seen`: a client without a record has no answers yet.
        """
        if isinstance(client, bytes) and len(client) == CLIENT_ID_BYTES:
            return int.from_bytes(client[:8], "big") <= self.horizon_us
        return seen > 1

    def _put_client(self, key: ClientKey, seen: int, t_us: int, done: Done) -> None:
        client, number = key
        window = self.clients.get(client)
        if window is None:
            window = self.clients[client] = ClientWindow(seen, t_us, {})
        window.t_us = t_us
        kept = window.done
        kept[number] = done
        old = window.seen
        if seen > old:
            window.seen = seen
            if seen - old <= 2 * len(kept):
                for below in range(old, seen):
                    kept.pop(below, None)
            else:
                for below in [each for each in kept if each < seen]:
                    del kept[below]

    def _evict(self, t_us: int) -> None:
        self.evicted_us = t_us
        horizon = t_us - self.window_us
        strings = self.strings
        over = 0
        if len(strings) > self.keys_max:
            over = len(strings) - self.keys_max + (self.keys_max >> _STEP)
        gone: list[str] = []
        for index, (key, entry) in enumerate(strings.items()):
            if index >= over and _entry_time(entry) >= horizon:
                break
            gone.append(key)
        for key in gone:
            del strings[key]
        self._evict_clients(horizon)

    def _evict_clients(self, horizon: int) -> None:
        clients = self.clients
        if len(clients) > self.clients_max:
            over = len(clients) - self.clients_max + (self.clients_max >> _STEP)
            times = sorted(window.t_us for window in clients.values())
            horizon = max(horizon, times[over])
        self.horizon_us = max(self.horizon_us, horizon)
        for client in [client for client, window in clients.items() if window.t_us < horizon]:
            del clients[client]

    def window_held_us(self, t_us: int) -> int:
        """How far back string keys really reach: less than the window when their count ran over."""
        if len(self.strings) < self.keys_max - 2 * (self.keys_max >> _STEP):
            return self.window_us
        return min(self.window_us, t_us - _entry_time(self.strings[next(iter(self.strings))]))

    def dump(self) -> list[Any]:
        clients = [
            [client, window.seen, window.t_us, [[n, *done] for n, done in window.done.items()]]
            for client, window in self.clients.items()
        ]
        return [self.evicted_us, self.horizon_us, clients, list(self.strings.items())]

    def restore(self, dumped: list[Any]) -> None:
        self.evicted_us, self.horizon_us, clients, strings = dumped
        self.clients = {
            client: ClientWindow(seen, t_us, {n: Done(lsn, crc, out) for n, lsn, crc, out in done})
            for client, seen, t_us, done in clients
        }
        self.strings = dict(strings)


def _unpack_entry(entry: bytes) -> Done:
    lsn, _, crc, held = _ENTRY.unpack_from(entry)
    return Done(lsn, crc, entry[_ENTRY.size :] if held else None)


def _entry_time(entry: bytes) -> int:
    return int.from_bytes(entry[8:16], "big")
