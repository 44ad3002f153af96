"""The exchange against a service and a network that lose, repeat, delay and refuse, from a seed.

Every step is one of: a call is made; some bytes go one way; the connection breaks, and what the
service has not read yet is lost or read later; the service refuses a call for now; it forgets all
clients, as it does with silent ones; time passes. The service's clock may be years away from ours.
In the end the network heals, and then each call must have had exactly one outcome, its own, and
have been executed exactly once; a call whose client was forgotten while its answer was on the way
may fail instead, and has been executed at most once.
"""

import random

import pytest

from osupervisor.bridge import messages
from osupervisor.bridge.call import Call
from osupervisor.bridge.errors import Overloaded, ProtocolError, ReadOnly, Unavailable
from osupervisor.bridge.exchange import Exchange, State
from osupervisor.bridge.identity import RENEW_S, Identity
from osupervisor.bridge.messages import Request
from osupervisor.bridge.pending import Pending
from osupervisor.bridge.session import Session
from tests.bridge.ledger import Ledger

STEPS = 250
PATIENT_S = 1e9
TOKEN = "token"


class Connection:
    """Two streams of bytes, and the service's session at their end."""

    def __init__(self, token: str | None) -> None:
        self.session = Session(token)
        self.to_service = bytearray()
        self.to_client = bytearray()


class World:
    """A client's exchange, the service, and all that may go wrong between them."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.token = self.rng.choice([None, TOKEN])
        self.ledger = Ledger()
        self.exchange = Exchange(
            Pending,
            self.rng.random,
            token=self.token,
            identity=Identity(self.rng.choice([None, self.rng.randbytes(16)])),
            connect_timeout_s=PATIENT_S,
        )
        self.connection: Connection | None = None
        self.late: list[Connection] = []
        """Broken connections whose bytes the service has still to read."""
        self.now = 0.0
        self.service_us = self.rng.choice([0, 10**15, 1_800_000_000_000_000, 10**17])
        self.forgets = self.rng.choice([False, False, True])
        self.refusals = self.rng.choice([0.0, 0.0, 0.2])
        self.calls: list[Pending] = []
        self.woken: list[Pending] = []

    def step(self) -> None:
        step = self.rng.choice(
            [self.ask, self.ask, self.write, self.serve, self.serve, self.read, self.read]
            + [self.pass_time, self.connect, self.rare]
        )
        step()

    def rare(self) -> None:
        self.rng.choice([self.break_off, self.serve_late, self.forget])()

    def forget(self) -> None:
        if self.forgets:
            self.ledger.forget_all(self.service_now_us())
            self.now += 0.001

    def service_now_us(self) -> int:
        return self.service_us + int(self.now * 1e6)

    def ask(self) -> None:
        tag = len(self.calls)
        pending = self.exchange.call("add", (tag,), {}, self.now, deadline_s=PATIENT_S)
        pending.waiter = pending
        self.calls.append(pending)

    def connect(self) -> None:
        if self.exchange.state is not State.DOWN or self.now < self.exchange.connect_at:
            return
        if self.rng.random() < 0.3:
            self.woken += self.exchange.refused(self.now, ConnectionRefusedError("no"))
            return
        self.connection = Connection(self.token)
        self.exchange.connected()

    def write(self) -> None:
        if self.connection is not None:
            self.connection.to_service += b"".join(self.exchange.out)
            self.exchange.out.clear()

    def serve(self) -> None:
        if self.connection is not None:
            self.serve_some(self.connection)

    def serve_late(self) -> None:
        if self.late:
            connection = self.rng.choice(self.late)
            self.serve_some(connection)
            connection.to_client.clear()

    def serve_some(self, connection: Connection) -> None:
        size = self.rng.randrange(len(connection.to_service) + 1)
        data = bytes(connection.to_service[:size])
        del connection.to_service[:size]
        for event in connection.session.receive(data):
            if isinstance(event, Call):
                connection.to_client += self.serve_call(event)
            else:
                assert isinstance(event, Request) and event.method == "kernel.hello"
                greeting = {"now_us": self.service_now_us()}
                connection.to_client += messages.response(event.id, greeting)

    def serve_call(self, call: Call) -> bytes:
        if self.rng.random() < self.refusals:
            kind = self.rng.choice([Overloaded, ReadOnly, Unavailable])
            return messages.failure(call.id, kind("not now").to_map())
        frame = self.ledger.answer(call)
        return frame or b""

    def read(self) -> None:
        if self.connection is not None:
            size = self.rng.randrange(len(self.connection.to_client) + 1)
            data = bytes(self.connection.to_client[:size])
            del self.connection.to_client[:size]
            self.woken += self.exchange.receive(data, self.now)

    def break_off(self) -> None:
        if self.connection is not None:
            if self.rng.random() < 0.5:
                self.late.append(self.connection)
            self.connection = None
            self.woken += self.exchange.lost(self.now)

    def pass_time(self) -> None:
        self.now += self.rng.choice([0.001, 0.1, 1.0])
        self.woken += self.exchange.tick(self.now)

    def heal(self) -> None:
        self.refusals = 0.0
        for _ in range(10_000):
            if all(pending.done for pending in self.calls):
                return
            self.rng.choice([self.write, self.serve, self.read, self.pass_time, self.connect])()
        raise AssertionError(f"{self.exchange.count} calls were never answered")


@pytest.mark.parametrize("block", range(10))
def test_each_call_has_one_outcome_and_one_effect(block: int) -> None:
    for seed in range(block * 60, block * 60 + 60):
        print(f"seed {seed}")
        world = World(seed)
        for _ in range(STEPS):
            world.step()
        world.heal()
        check(world)


def check(world: World) -> None:
    failed = [pending for pending in world.calls if pending.error is not None]
    for pending in failed:
        assert isinstance(pending.error, ProtocolError) and pending.error.data["forgotten"]
        assert world.forgets and pending.troubled().broken
    numbers = [pending.outcome() for pending in world.calls if pending.error is None]
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) <= world.ledger.adds <= len(world.calls)
    assert set(world.ledger.tags.values()) <= {1}
    assert sorted(map(id, world.woken)) == sorted(map(id, world.calls))
    assert world.exchange.count == 0
    assert world.exchange.identity.seen == len(world.calls) + 1


def test_the_service_forgets_what_the_client_has_seen() -> None:
    world = World(5)
    world.refusals, world.forgets = 0.0, False
    world.connect()
    for _ in range(500):
        world.ask()
        world.heal()
        names = {key[0] for key in world.ledger.executions if isinstance(key, tuple)}
        assert world.ledger.remembered <= len(names) <= 1 + world.now / RENEW_S
