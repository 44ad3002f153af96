"""A connection that breaks at every point of an exchange: each call gets one answer, takes effect
once, and is sent again under its key."""

import random
from pathlib import Path

import pytest

from osupervisor.bridge import exchange, messages
from osupervisor.bridge.call_encoder import CallEncoder
from osupervisor.bridge.client import Client
from osupervisor.bridge.identity import CLIENT_BYTES
from osupervisor.bridge.messages import answer, outcome_of_result
from osupervisor.bridge.packing import unpack
from tests.bridge.clients import ALL, Adds, async_tasks, one_by_one, pipelined, uvloop_pipelined
from tests.bridge.service import Break, Service, Where, greeting
from tests.source import needs_source

REQUEST_BYTES = len(CallEncoder(bytes(CLIENT_BYTES)).frame("add", ("hits",), {}, 1, 1))
ANSWER_BYTES = len(answer(1, outcome_of_result(1)))
HELLO_BYTES = len(messages.request(0, "kernel.hello", [{"protocol": 1}]))
GREETING_BYTES = len(greeting(0))


def check(service: Service, adds: Adds, count: int) -> None:
    results = adds(service.path, count)
    assert sorted(results) == list(range(1, count + 1))
    assert service.ledger.adds == count
    assert set(service.ledger.executions.values()) == {1}


@pytest.mark.parametrize("adds", ALL)
def test_calls_are_answered(tmp_path: Path, adds: Adds) -> None:
    with Service(tmp_path / "s") as service:
        check(service, adds, 60)
        assert service.connections == 1


@pytest.mark.parametrize("adds", [one_by_one, async_tasks])
@pytest.mark.parametrize("where", ["read", "executed", "written"])
def test_a_break_at_every_byte_of_one_call(tmp_path: Path, adds: Adds, where: Where) -> None:
    if where == "written":
        whole = GREETING_BYTES + ANSWER_BYTES
    else:
        whole = HELLO_BYTES + REQUEST_BYTES
    for size in range(whole + 1):
        point = Break(where, size)
        with Service(tmp_path / "s", [point]) as service:
            check(service, adds, 1)


@pytest.mark.parametrize("adds", ALL)
@pytest.mark.parametrize("where", ["read", "executed", "written"])
def test_a_break_in_the_midst_of_many_calls(tmp_path: Path, adds: Adds, where: Where) -> None:
    each = ANSWER_BYTES if where == "written" else REQUEST_BYTES
    for size in range(0, HELLO_BYTES + 6 * each, 1 + each // 3):
        point = Break(where, size)
        with Service(tmp_path / "s", [point]) as service:
            check(service, adds, 6)


@pytest.mark.parametrize("adds", ALL)
def test_breaks_one_after_the_other(tmp_path: Path, adds: Adds) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(8):
        breaks = [
            Break(rng.choice(["read", "executed", "written"]), rng.randrange(6 * REQUEST_BYTES))
            for _ in range(6)
        ]
        with Service(tmp_path / "s", breaks) as service:
            check(service, adds, 12)


@pytest.mark.parametrize("adds", [one_by_one, pipelined, uvloop_pipelined])
def test_an_answer_of_many_pieces_survives_a_break_in_it(tmp_path: Path, adds: Adds) -> None:
    with Service(tmp_path / "s", [Break("written", 3), Break("written", 30)]) as service:
        check(service, adds, 200)
        assert service.connections == 3


@needs_source(exchange)
@pytest.mark.parametrize("reads", range(1, 4))
def test_an_interrupt_while_an_answer_is_read_loses_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: int
) -> None:
    left = [reads]

    def interrupted(data: bytes | memoryview) -> object:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return unpack(data)

    with Service(tmp_path / "s") as service, Client(service.path, timeout_s=5) as client:
        monkeypatch.setattr(exchange, "unpack", interrupted)
        service.ledger.adds = 1000  # a longer answer than one that is looked up
        results: list[int] = []
        for _ in range(5):
            try:
                results.append(client.add("hits"))
            except KeyboardInterrupt:
                results.append(0)
        assert results.count(0) == 1
        assert all(result in (0, 1000 + at) for at, result in enumerate(results, 1))
        assert set(service.ledger.executions.values()) == {1}
