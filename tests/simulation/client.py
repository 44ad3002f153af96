"""Simulated clients: the library's (numbers, `seen`), others (string keys), the careless (none)."""

import random
from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import packing
from osupervisor.supervisor.core.key import ClientKey, Key
from tests.simulation import toy

KINDS = ("library", "string", "none")
CLOCK_ERRORS_US = (0, 0, -500_000, 800_000)
"""What a client's idea of the service's time is wrong by."""


@dataclass(slots=True, eq=False)
class Sent:
    """One request of a client, from its making to its answer."""

    number: int
    key: Key | None
    op: str
    params: bytes
    durable: bool
    knew: int
    """The last LSN that this client had seen when it asked."""
    method: str = "call"
    deliveries: int = 0
    in_flight: int = 0
    """Copies on their way, or waiting in the supervisor."""

    @property
    def query(self) -> bool:
        return self.op in toy.QUERIES or self.method == "state"


@dataclass(slots=True, eq=False)
class Client:
    """Resends what has no answer; knows what it has seen."""

    name: str
    kind: str
    rng: random.Random
    id: bytes = b""
    """Of the library's kind: time of making, and random bytes."""
    number: int = 0
    open: dict[int, Sent] = field(default_factory=dict[int, Sent])
    seen_lsn: int = 0

    @property
    def seen(self) -> int:
        """Every answer below this number is here."""
        return min(self.open, default=self.number + 1)

    def renew(self, now_us: int) -> None:
        """Begin anew, as another client."""
        self.rename(now_us)
        self.open.clear()
        self.number = self.seen_lsn = 0

    def rename(self, now_us: int) -> None:
        """Go on under another name; the numbers go on, what is open keeps its key."""
        made_us = now_us + self.rng.choice(CLOCK_ERRORS_US)
        self.id = made_us.to_bytes(8, "big") + self.rng.randbytes(8)

    def make(self, dangerous: bool) -> Sent:
        """A new request."""
        self.number += 1
        rng = self.rng
        token = f"{self.name}.{self.number}"
        op, args = rng.choice(_dangers(token, rng) if dangerous else _ops(token, rng))
        durable = rng.random() < 0.2
        if op == "":
            path = packing.pack(args)
            sent = Sent(self.number, None, "brain.state", path, durable, self.seen_lsn, "state")
        else:
            params = packing.pack(op) + packing.pack(args) + b"\x80"
            sent = Sent(self.number, self._key(), op, params, durable, self.seen_lsn)
        self.open[self.number] = sent
        return sent

    def _key(self) -> Key | None:
        if self.kind == "library":
            key: ClientKey = (self.id, self.number)
            return key
        return f"{self.name}.{self.number}" if self.kind == "string" else None


Op = tuple[str, list[Any]]


def _ops(token: str, rng: random.Random) -> list[Op]:
    """An empty name is a read of the state."""
    return [
        (toy.ADD, [rng.choice((1, 2, 7))]),
        (toy.PUSH, [token]),
        (toy.FAIL, []),
        (toy.EMPTY, []),
        (toy.LATER, [token, rng.choice((0, 50_000, 3_000_000)), toy.PUSH]),
        (toy.CAST, [token, toy.PUSH]),
        (toy.BREED, [token, rng.choice((0, 1, 2))]),
        (toy.READ, []),
        ("", []),
    ]


def _dangers(token: str, rng: random.Random) -> list[Op]:
    return [
        (toy.POISON, []),
        (toy.LATE, []),
        (toy.HANG, []),
        (toy.SLOW, [rng.choice((False, True))]),
        (toy.GROW, []),
        (toy.NONSENSE, [token]),
        (toy.MISSPEAK, []),
        (toy.STOP, []),
        (toy.READ_STOP, []),
        (toy.READ_POISON, []),
        (toy.READ_HANG, []),
        (toy.CAST, [token, rng.choice((toy.POISON, toy.HANG, toy.NONSENSE, toy.GROW))]),
        (toy.LATER, [token, 50_000, rng.choice((toy.POISON, toy.HANG, toy.STOP))]),
        (toy.BREED, [token, 4]),
        ("", [toy.POISONED_PATH]),
    ]
