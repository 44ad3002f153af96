"""The idempotency table: which requests were executed, and what came out. Part of the fold. Pure.

Library keys stand per client: a window of the numbers from `seen` on, as large as what that
client has in flight; exact at any rate. String keys stand for `window_us` of log time or until
there are `keys_max` of them; the oldest go first. Eviction is by the record's time and by count,
never by a clock, so that the table comes out the same at every recovery.

A client that is forgotten, because it was silent for the window or because there are too many, may
come back with a call that was executed. So what may have been forgotten is remembered:

    horizon_us    of the names that say when they were made, every one forgotten is this old
    floor         of a client that is known: below it what is not in `done` may be forgotten; all of
                  it when the client was forgotten while a call of its was on its way

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
from typing import Any, Final

from osupervisor.supervisor.core.key import ClientKey, Key, is_client_key

OUTCOME_HELD_BYTES_MAX: Final = 256
"""Above this an outcome is read from the log: 50,000 keys then cost at most 30 MB."""

CLIENT_ID_BYTES: Final = 16
"""The library's client ids: time of making, unix microseconds as a big-endian uint64, and 8 random
bytes."""

CLIENT_AHEAD_US_MAX: Final = 10_000_000
"""The library makes its names by the service's clock, within a second. What claims to come from
further ahead is a name of another form, whose first bytes mean something else."""

CLIENT_ENTRIES_MAX: Final = 50_000
"""Outcomes that are held for library clients, all together: far more than are in flight. Only
clients that never say what they have seen can reach it."""

FLOOR_ALL: Final = 2**64 - 1
"""As a floor: any number may have been forgotten."""

_ENTRY: Final = struct.Struct(">QQIB")
_STEP: Final = 6
"""Eviction is done in steps of 1/64."""


@dataclass(slots=True, init=False)
class Done:
    """A request that was executed: where, with which parameters, its outcome (None: in the log)."""

    lsn: int
    crc: int
    outcome: bytes | None

    def __init__(self, lsn: int, crc: int, outcome: bytes | None) -> None:
        self.lsn = lsn
        self.crc = crc
        self.outcome = outcome


@dataclass(slots=True)
class ClientWindow:
    """One client of the library: it has every answer below `seen`; `done` holds the others."""

    seen: int
    t_us: int
    done: dict[int, Done]
    floor: int = 0
    """Below it, what is not in `done` may have been executed and forgotten."""


class DoneTable:
    """Executed requests by key, bounded by time and count.

    Eviction goes in steps of a 64th of the window or of the count: taking the oldest entry out of
    a dict one at a time would walk over the dead slots of all that went before.
    """

    __slots__ = (
        "clients",
        "clients_max",
        "entries",
        "entries_max",
        "evicted_us",
        "horizon_us",
        "keys_max",
        "strings",
        "window_us",
    )

    def __init__(
        self,
        window_us: int,
        keys_max: int,
        clients_max: int,
        entries_max: int = CLIENT_ENTRIES_MAX,
    ) -> None:
        self.window_us = window_us
        self.keys_max = keys_max
        self.clients_max = clients_max
        self.entries_max = entries_max
        self.evicted_us = 0
        self.horizon_us = 0
        """No client has been forgotten whose name was made after this."""
        self.clients: dict[bytes | str, ClientWindow] = {}
        self.entries = 0
        """Outcomes that the clients' windows hold."""
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
        if type(key) is str:
            held = outcome if len(outcome) <= OUTCOME_HELD_BYTES_MAX else None
            self.strings.pop(key, None)
            self.strings[key] = _ENTRY.pack(lsn, t_us, crc, held is not None) + (held or b"")
            if self._is_over(t_us):
                self._evict(key, t_us)
        elif is_client_key(key):
            self.put_client(key, seen, lsn, t_us, crc, outcome)
        elif self._is_over(t_us):
            self._evict(key, t_us)

    def _is_over(self, t_us: int) -> bool:
        return (
            t_us - self.evicted_us >= self.window_us >> _STEP
            or self.entries > self.entries_max
            or len(self.strings) > self.keys_max
            or len(self.clients) > self.clients_max
        )

    def may_be_forgotten(self, client: bytes | str, seen: int, now_us: int) -> bool:
        """Whether a client that is not in the table may have been there once.

        The library's ids begin with the time of their making, so that this can be told exactly.
        Of any other id it is told by `seen`: a client without a record has no answers yet.
        """
        made_us = _made_us(client, now_us)
        return seen > 1 if made_us is None else made_us <= self.horizon_us

    def put_client(
        self, key: ClientKey, seen: int, lsn: int, t_us: int, crc: int, outcome: bytes
    ) -> None:
        """`put` of a library key: the hot path."""
        client, number = key
        window = self.clients.get(client)
        if window is None:
            floor = FLOOR_ALL if self.may_be_forgotten(client, seen, t_us) else 0
            window = self.clients[client] = ClientWindow(seen, t_us, {}, floor)
        window.t_us = t_us
        kept, old = window.done, window.seen
        before = len(kept)
        if seen > old:
            window.seen = seen
            if seen - old <= 2 * before:
                for below in range(old, seen):
                    if below in kept:
                        del kept[below]
            else:
                for below in [each for each in kept if each < seen]:
                    del kept[below]
        if number >= window.seen:
            held = outcome if len(outcome) <= OUTCOME_HELD_BYTES_MAX else None
            kept[number] = Done(lsn, crc, held)
        self.entries += len(kept) - before
        if self._is_over(t_us):
            self._evict(key, t_us)

    def _evict(self, key: Key, t_us: int) -> None:
        """`key` has just been put, and stays."""
        self.evicted_us = t_us
        horizon = t_us - self.window_us
        strings = self.strings
        over = 0
        if len(strings) > self.keys_max:
            over = len(strings) - self.keys_max + (self.keys_max >> _STEP)
        gone: list[str] = []
        for index, (string, entry) in enumerate(strings.items()):
            if index >= over and _entry_time(entry) >= horizon:
                break
            gone.append(string)
        for string in gone:
            del strings[string]
        self._evict_clients(None if type(key) is str else key[0], horizon, t_us)
        if self.entries > self.entries_max:
            self._shrink_clients()

    def _evict_clients(self, current: bytes | str | int | None, horizon: int, t_us: int) -> None:
        """Forget those without a record since `horizon`, and the longest silent of too many."""
        clients = self.clients
        gone = [client for client, window in clients.items() if window.t_us < horizon]
        if len(clients) - len(gone) > self.clients_max:
            over = len(clients) - self.clients_max + (self.clients_max >> _STEP)
            by_time = sorted(clients, key=lambda client: clients[client].t_us)
            gone = [client for client in by_time if client != current][:over]
        for client in gone:
            self.entries -= len(clients.pop(client).done)
            made_us = _made_us(client, t_us)
            if made_us is not None and made_us > self.horizon_us:
                self.horizon_us = made_us

    def _shrink_clients(self) -> None:
        """Too many outcomes, as there are clients that never say what they have seen: of those
        with most of them the older half is forgotten."""
        enough = self.entries_max - (self.entries_max >> _STEP)
        windows = sorted(self.clients.values(), key=lambda window: -len(window.done))
        for window in windows:
            if self.entries <= enough:
                return
            oldest = sorted(window.done)[: (len(window.done) + 1) // 2]
            for number in oldest:
                del window.done[number]
            window.floor = max(window.floor, min(oldest[-1] + 1, FLOOR_ALL))
            self.entries -= len(oldest)

    def window_held_us(self, t_us: int) -> int:
        """How far back string keys really reach: less than the window when their count ran over."""
        if len(self.strings) < self.keys_max - 2 * (self.keys_max >> _STEP):
            return self.window_us
        return min(self.window_us, t_us - _entry_time(self.strings[next(iter(self.strings))]))

    def dump(self) -> list[Any]:
        clients = [
            [
                client,
                window.seen,
                window.t_us,
                window.floor,
                [[n, done.lsn, done.crc, done.outcome] for n, done in window.done.items()],
            ]
            for client, window in self.clients.items()
        ]
        return [self.evicted_us, self.horizon_us, clients, list(self.strings.items())]

    def restore(self, dumped: list[Any]) -> None:
        self.evicted_us, self.horizon_us, clients, strings = dumped
        self.clients = {
            client: ClientWindow(
                seen, t_us, {n: Done(lsn, crc, out) for n, lsn, crc, out in done}, floor
            )
            for client, seen, t_us, floor, done in clients
        }
        self.entries = sum(len(window.done) for window in self.clients.values())
        self.strings = dict(strings)


def _unpack_entry(entry: bytes) -> Done:
    lsn, _, crc, held = _ENTRY.unpack_from(entry)
    return Done(lsn, crc, entry[_ENTRY.size :] if held else None)


def _entry_time(entry: bytes) -> int:
    return int.from_bytes(entry[8:16], "big")


def _made_us(client: bytes | str, now_us: int) -> int | None:
    """When a name of the library's form was made; None for a name of another form."""
    if isinstance(client, bytes) and len(client) == CLIENT_ID_BYTES:
        made_us = int.from_bytes(client[:8], "big")
        return made_us if made_us <= now_us + CLIENT_AHEAD_US_MAX else None
    return None
