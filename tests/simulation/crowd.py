"""The clients of one world, and the copies of their requests that are on their way."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from osupervisor.bridge import packing
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.core.key import is_client_key
from tests.simulation.client import KINDS, Client, Sent
from tests.simulation.oracle import Violation
from tests.simulation.scene import Scene

OPEN_CALLS_MAX = 4


@dataclass(slots=True, eq=False)
class Asker:
    """Where an answer goes: one copy of one request, on one connection."""

    client: Client
    sent: Sent
    connection: int
    until_us: int
    """No `Timeout` for having waited before that."""

    def answer(self, message_id: int, outcome: bytes) -> bool:
        raise AssertionError("the crowd hands out answers")

    def flush(self) -> None:
        raise AssertionError("the crowd hands out answers")

    def when_read(self, answer: Callable[[], None]) -> None:
        raise AssertionError("the crowd hands out answers")


@dataclass(frozen=True, slots=True)
class Copy:
    """One delivery of a request, on its way: with the `seen` that it was sent with."""

    client: Client
    sent: Sent
    seen: int
    connection: int


class Crowd:
    """All clients. They resend what has no answer, and judge what they are told."""

    def __init__(self, scene: Scene) -> None:
        rng = scene.rng
        self.clients = [
            Client(f"c{n}", KINDS[n % len(KINDS)], rng) for n in range(rng.randint(2, 5))
        ]
        for client in self.clients:
            client.renew(scene.now_us)
        self.copies: list[Copy] = []
        """On their way; they wait in the listening socket while no supervisor lives."""
        self._scene = scene
        self._connection = 0
        self._poison = rng.random() < 0.3

    # --- out

    def send(self) -> None:
        """A client asks something new, or something again."""
        rng = self._scene.rng
        client = rng.choice(self.clients)
        if len(client.open) < OPEN_CALLS_MAX and rng.random() < 0.6 and self._scene.faults:
            sent = client.make(self._poison and rng.random() < 0.05)
        else:
            idle = [sent for sent in client.open.values() if sent.in_flight == 0]
            if not idle:
                return
            sent = rng.choice(idle)
            if sent.key is None and sent.deliveries:
                del client.open[sent.number]
                return
        self._send(client, sent)
        if sent.key is not None and rng.random() < 0.1 and self._scene.faults:
            self._send(client, sent)

    def _send(self, client: Client, sent: Sent) -> None:
        if self._scene.core is None:
            return
        sent.in_flight += 1
        sent.deliveries += 1
        if sent.key is not None:
            self._scene.oracle.refused.discard(sent.key)
        seen = client.seen if client.kind == "library" else 0
        self.copies.append(Copy(client, sent, seen, self._connection))

    def arrive(self) -> None:
        """A copy reaches the supervisor: of this connection in order, or a late one."""
        core, rng = self._scene.core, self._scene.rng
        if core is None or not self.copies:
            return
        fresh = [copy for copy in self.copies if copy.connection == self._connection]
        late = rng.random() < 0.1 or not fresh
        copy = rng.choice(self.copies if late else fresh[:2])
        self.copies.remove(copy)
        sent, seen = copy.sent, copy.seen
        core.at(self._scene.now_us)
        timeout_us = rng.choice((0, 0, 0, 500_000))
        now_us = core.context.now_us
        until_us = now_us + (timeout_us or self._scene.sizes.limits.wait_timeout_us)
        asker = Asker(copy.client, sent, copy.connection, until_us)
        core.call(
            Call(
                key=sent.key if sent.key is not None else "",
                key_bytes=b"" if sent.key is None else encode_key(sent.key, seen),
                seen=seen,
                op=sent.op,
                params=sent.params,
                crc=zlib.crc32(sent.params),
                waiters=[Waiter(asker, sent.number, sent.durable)],
                admitted_us=now_us,
                timeout_us=timeout_us,
                query=sent.query,
                method=sent.method,
            )
        )

    # --- back

    def answer(self, waiter: Waiter, outcome: bytes) -> None:
        """An outcome leaves the supervisor."""
        asker = waiter.asker
        assert isinstance(asker, Asker)
        sent = asker.sent
        found: Any = packing.unpack(b"\x92" + outcome)
        code = found[0]["code"] if found[0] else ""
        if code == "ProtocolError":
            self._forgotten(asker, found[0])
            return
        final = code != "Timeout" or found[0]["data"]["final"]
        if not final and self._scene.now_us <= asker.until_us:
            raise Violation(f"{sent.key} was told to have waited too long, and has not")
        self._judge(sent, outcome, code, found[1])
        if asker.connection != self._connection:
            return
        sent.in_flight = max(0, sent.in_flight - 1)
        if code in ("ReadOnly", "Overloaded") and sent.deliveries == 1 and sent.key is not None:
            self._scene.oracle.refuse(sent.key)
        if final and code not in ("ReadOnly", "Overloaded", "Unavailable"):
            self._settle(asker.client, sent)
        elif sent.key is None:
            asker.client.open.pop(sent.number, None)

    def _judge(self, sent: Sent, outcome: bytes, code: str, result: Any) -> None:
        oracle, core = self._scene.oracle, self._scene.core
        if sent.key is not None:
            oracle.answered(sent.key, outcome, durable=sent.durable, query=sent.query)
        if sent.query and not code:
            assert core is not None
            oracle.read(result, sent.knew, core.context.log.durable)

    def _forgotten(self, asker: Asker, error: dict[str, Any]) -> None:
        """The client takes another name; what was sent once was not done, and goes under that."""
        client, sent = asker.client, asker.sent
        key = sent.key
        if not error["data"].get("forgotten") or key is None or not is_client_key(key):
            raise Violation(f"{key} was refused: {error['message']}")
        self._scene.oracle.forgotten(key, self._scene.now_us)
        if asker.connection != self._connection:
            return
        sent.in_flight = max(0, sent.in_flight - 1)
        if client.id == key[0]:
            client.rename(self._scene.now_us)
        if sent.deliveries == 1:
            self._scene.oracle.refuse(key)
            sent.key = (client.id, sent.number)
            sent.deliveries = 0
        else:
            client.open.pop(sent.number, None)

    def _settle(self, client: Client, sent: Sent) -> None:
        client.open.pop(sent.number, None)
        if sent.key is not None and sent.key in self._scene.oracle.final:
            client.seen_lsn = max(client.seen_lsn, self._scene.oracle.final[sent.key])

    # --- breaks

    def reconnect(self) -> None:
        """Every client reconnects, and sends again what has no answer. Of the copies that were
        on their way some are lost, and some arrive late, perhaps when the client has its answer."""
        if self._scene.core is not None and self._scene.rng.random() < 0.5:
            self.copies.clear()
        self.forget_copies()

    def forget_copies(self) -> None:
        """What was sent on this connection is not waited for any more."""
        self._connection += 1
        for client in self.clients:
            for sent in list(client.open.values()):
                sent.in_flight = 0
                if sent.key is None and sent.deliveries:
                    del client.open[sent.number]

    def lose_power(self) -> None:
        """What clients know of the log may be gone from it: they begin anew."""
        self.copies.clear()
        for client in self.clients:
            client.name += "'"
            client.renew(self._scene.now_us)
