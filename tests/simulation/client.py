"""Simulated clients: the library's (numbers, `seen`), others (string keys), the careless (none)."""

import random
from dataclasses import dataclass, field
from typing import Any

from osupervisor.bridge import packing
from osupervisor.supervisor.core.key import ClientKey, Key
from tests.simulation import toy

KINDS = ("library", "string", "none")


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
    deliveries: int = 0
    in_flight: int = 0
    """Copies on their way, or waiting in the supervisor."""


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
        self.id = now_us.to_bytes(8, "big") + self.rng.randbytes(8)
        self.open.clear()
        self.number = self.seen_lsn = 0

    def make(self, poison: bool) -> Sent:
        """A new request."""
        self.number += 1
        rng = self.rng
        token = f"{self.name}.{self.number}"
        ops: list[tuple[str, list[Any]]] = [
            (toy.ADD, [rng.choice((1, 2, 7))]),
            (toy.PUSH, [token]),
            (toy.FAIL, []),
            (toy.EMPTY, []),
            (toy.LATER, [token, rng.choice((0, 50_000, 3_000_000))]),
            (toy.CAST, [token]),
            (toy.READ, []),
        ]
        op, args = rng.choice(ops)
        if poison:
            op, args = rng.choice((toy.POISON, toy.HANG)), []
        params = packing.pack(op) + packing.pack(args) + b"\x80"
        durable = rng.random() < 0.2
        sent = Sent(self.number, self._key(), op, params, durable, self.seen_lsn)
        self.open[self.number] = sent
        return sent

    def _key(self) -> Key | None:
        if self.kind == "library":
            key: ClientKey = (self.id, self.number)
            return key
        return f"{self.name}/{self.number}" if self.kind == "string" else None
