"""`Client`: what it offers, what it raises, threads, deadlines, and peers that misbehave."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from osupervisor.bridge import messages
from osupervisor.bridge.address import TcpAddress, listen_unix
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import (
    AddressError,
    LocalProtocolError,
    NotRunningError,
    OpFailed,
    OpNotFound,
    Overloaded,
    ProtocolError,
    RemoteProtocolError,
    Timeout,
    Unavailable,
)
from osupervisor.bridge.messages import outcome_of_error
from osupervisor.bridge.pending import Reply
from tests.bridge.service import Break, Service, greeting

NOT_NOW = [outcome_of_error(kind("not now").to_map()) for kind in (Overloaded, Unavailable)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "s") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with Client(service.path) as made:
        yield made


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "waited 20 s for nothing"
        time.sleep(0.002)


def test_ops_are_methods(client: Client) -> None:
    assert client.add("hits", n=3) == 3
    assert client.call("add", "hits", n=4) == 7
    assert client.query("load") == 7
    assert client.echo(1, b"2", x=[None, {"y": 1.5}]) == [[1, b"2"], {"x": [None, {"y": 1.5}]}]


def test_arguments_may_have_any_name(client: Client) -> None:
    assert client.call("echo", self=1, op=2, name=3) == [[], {"self": 1, "op": 2, "name": 3}]
    assert client.query("echo", self=1, op=2, name=3) == [[], {"self": 1, "op": 2, "name": 3}]


def test_names_with_a_leading_underscore_are_no_ops(client: Client) -> None:
    with pytest.raises(AttributeError):
        client._private()
    with pytest.raises(AttributeError):
        client.pipeline()._private()
    with pytest.raises(OpNotFound):
        client.call("_private")


def test_errors_of_the_service_are_raised(client: Client) -> None:
    with pytest.raises(OpFailed) as caught:
        client.fail("boom")
    assert caught.value.data == {"type": "ValueError", "message": "boom"}
    with pytest.raises(OpNotFound, match="no_such"):
        client.no_such()


def test_what_cannot_be_sent_is_refused_here(client: Client) -> None:
    with pytest.raises(LocalProtocolError, match="can't be packed"):
        client.add(object())
    assert client.add("hits") == 1


def test_other_methods(client: Client, service: Service) -> None:
    assert client.ping() == "pong"
    assert client.status() == {"state": "ready"}
    assert client.metrics() == "up 1\n"
    assert "brain.call" in client.api()["methods"]
    assert client.state() == {"path": [], 7: b"bytes"}
    assert client.state(["bins", 3, b"k"]) == {"path": ["bins", 3, b"k"], 7: b"bytes"}
    assert client.request("system.tree") == {"state": "ready"}
    assert service.connections == 1
    with pytest.raises(ProtocolError, match="there is no method"):
        client.request("no.such")


def test_options_go_with_calls_and_share_the_connection(client: Client, service: Service) -> None:
    mine = client.with_options(key="mine", session="s", timeout_s=5, durability="always")
    assert [mine.add("hits"), mine.add("hits"), client.add("hits")] == [1, 1, 2]
    pair = client.with_options(key=("name", 7))
    assert [pair.add("hits"), pair.add("hits")] == [3, 3]
    assert client.query("load") == 3
    assert service.connections == 1
    assert service.ledger.executions[None] == 1


BAD_OPTIONS: dict[str, list[object]] = {
    "key": ["", 5, "\ud800", ("c", -1), ("c", "d"), ("c", 1, 2)],
    "session": ["s" * 129, 5, "\ud800"],
    "timeout_s": [0, -1, "2"],
    "durability": [1],
}


@pytest.mark.parametrize("name", BAD_OPTIONS)
def test_a_bad_option_is_refused_here(client: Client, name: str) -> None:
    for value in BAD_OPTIONS[name]:
        with pytest.raises(LocalProtocolError):
            client.with_options(**{name: value})  # type: ignore[arg-type]  # pyright: ignore


def test_a_pipeline_keeps_calls_in_flight_and_order(client: Client) -> None:
    with client.pipeline(window=10) as pipeline:
        replies: list[Reply] = []
        for _ in range(500):
            replies.append(pipeline.add("hits"))
            assert client._link.exchange.count < 10  # pyright: ignore
    assert [reply.result() for reply in replies] == list(range(1, 501))
    assert replies[3].result() == 4


def test_a_pipeline_writes_before_its_window_is_full(client: Client, service: Service) -> None:
    with client.pipeline(window=1000) as pipeline:
        replies = [pipeline.add("hits")]
        replies[0].result()
        replies += [pipeline.add("hits") for _ in range(500)]
        wait_until(lambda: service.ledger.adds > 100)
        assert not replies[-1].done
    assert [reply.result() for reply in replies] == list(range(1, 502))


def test_a_pipeline_of_a_closed_client_is_closed(client: Client) -> None:
    pipeline = client.pipeline()
    pending = pipeline.add("hits")
    client.close()
    with pytest.raises(LocalProtocolError, match="closed"):
        pipeline.add("hits")
    with pytest.raises(LocalProtocolError, match="closed"):
        pending.result()


def test_a_pipeline_raises_its_first_error_in_the_end(client: Client) -> None:
    replies: list[Reply] = []
    with pytest.raises(OpFailed, match="one"):
        with client.pipeline(window=3) as pipeline:
            replies = [pipeline.add("hits"), pipeline.fail("one"), pipeline.fail("two")]
            replies += [pipeline.add("hits") for _ in range(5)]
    assert [reply.done for reply in replies] == [True] * 8
    with client.pipeline(raising=False) as pipeline:
        reply = pipeline.fail("three")
    with pytest.raises(OpFailed, match="three"):
        reply.result()


def test_a_pipeline_left_by_an_exception_does_not_wait(client: Client) -> None:
    with pytest.raises(KeyError):
        with client.pipeline() as pipeline:
            pipeline.fail("x")
            raise KeyError
    assert client.add("hits") == 1


def test_a_pipeline_may_be_flushed_and_asked_at_any_time(client: Client) -> None:
    pipeline = client.pipeline()
    first = pipeline.add("hits")
    assert first.result() == 1
    second = pipeline.with_options  # An op of that name: a pipeline has no such method.
    assert callable(second)
    third = pipeline.add("hits")
    pipeline.flush()
    pipeline.drain()
    assert third.done
    with pytest.raises(LocalProtocolError):
        client.pipeline(window=0)


def test_values_longer_than_any_buffer_pass_both_ways(client: Client) -> None:
    blob = os.urandom(5_000_000)
    with client.pipeline(window=4) as pipeline:
        replies = [pipeline.echo(blob) for _ in range(8)]
    assert all(reply.result() == [[blob], {}] for reply in replies)


def test_refused_calls_are_tried_again_under_their_key(tmp_path: Path) -> None:
    with Service(tmp_path / "s", refusals=NOT_NOW * 3) as service:
        with Client(service.path) as client:
            assert client.add("hits") == 1
        assert len(service.ledger.executions) == 1


def test_a_refusal_is_raised_at_the_deadline_or_at_once(tmp_path: Path) -> None:
    with Service(tmp_path / "s", refusals=NOT_NOW[:1] * 10_000) as service:
        with Client(service.path) as client:
            before = time.monotonic()
            with pytest.raises(Overloaded):
                client.with_options(timeout_s=0.2).add("hits")
            assert time.monotonic() - before < 1.0
        with Client(service.path, retries=False) as client:
            with pytest.raises(Overloaded):
                client.add("hits")
        assert not service.ledger.executions


def test_a_call_without_an_answer_times_out_and_the_next_is_served(tmp_path: Path) -> None:
    with Service(tmp_path / "s", silent=True) as service, Client(tmp_path / "s") as client:
        before = time.monotonic()
        with pytest.raises(Timeout, match="may still be executed"):
            client.with_options(timeout_s=0.1).add("hits")
        assert 1.0 < time.monotonic() - before < 3.0
        service.silent = False
        assert client.add("hits") == 1


def test_a_service_that_does_not_greet_is_not_waited_for_longer_than_asked(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s") as listener, Client(tmp_path / "s") as client:
        before = time.monotonic()
        with pytest.raises(Timeout, match="nothing was done"):
            client.with_options(timeout_s=0.1).add("hits")
        assert 0.1 < time.monotonic() - before < 1.0
        connection, _ = listener.accept()
        connection.close()
        with Service(tmp_path / "s", listener=listener.dup()):
            assert client.add("hits") == 1


def test_a_client_with_a_timeout_has_it_for_every_call(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s"), Client(tmp_path / "s", timeout_s=0.05) as client:
        for ask in (client.load, client.status, lambda: client.query("load")):
            with pytest.raises(Timeout):
                ask()


def test_a_service_that_is_not_there(tmp_path: Path) -> None:
    with Client(tmp_path / "s", connect_timeout_s=0) as client:
        before = time.monotonic()
        with pytest.raises(NotRunningError, match="osupervisor start"):
            client.add("hits")
        assert time.monotonic() - before < 1.0
    with Client(tmp_path / ("s" * 200)) as client:
        with pytest.raises(AddressError):
            client.add("hits")


def test_a_service_that_is_being_started_is_waited_for(tmp_path: Path) -> None:
    with Client(tmp_path / "s") as client:
        results: list[int] = []
        asking = threading.Thread(target=lambda: results.append(client.add("hits")))
        asking.start()
        wait_until(lambda: client._link.exchange.connect_at > 0)  # pyright: ignore
        with Service(tmp_path / "s"):
            asking.join()
    assert results == [1]


def test_a_service_that_is_restarted_between_calls_and_during_one(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s") as listener, Client(tmp_path / "s") as client:
        first = Service(tmp_path / "s", listener=listener.dup())
        assert client.add("hits") == 1
        first.stop()
        results: list[int] = []
        asking = threading.Thread(target=lambda: results.append(client.add("hits")))
        asking.start()
        with Service(tmp_path / "s", ledger=first.ledger) as second:
            asking.join()
            assert results == [2]
            second.break_all()
            assert client.add("hits") == 3


def test_many_threads_share_one_connection(client: Client, service: Service) -> None:
    results: list[int] = []

    def ask() -> None:
        for _ in range(100):
            results.append(client.add("hits"))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        service.break_all()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(1, 1601))
    assert set(service.ledger.executions.values()) == {1}


def test_threads_may_wait_for_one_reply(client: Client) -> None:
    pipeline = client.pipeline()
    reply = pipeline.add("hits")
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(reply.result())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1] * 8


def test_two_clients_get_their_own_answers(service: Service) -> None:
    with Client(service.path) as one, Client(service.path) as other:
        results = [client.add("hits") for _ in range(50) for client in (one, other)]
    assert results == list(range(1, 101))
    assert len({key[0] for key in service.ledger.executions if isinstance(key, tuple)}) == 2


def test_a_deadline_is_kept_by_each_of_many_threads(tmp_path: Path) -> None:
    with Service(tmp_path / "s", silent=True), Client(tmp_path / "s") as client:
        delays: dict[float, float] = {}

        def ask(timeout_s: float) -> None:
            before = time.monotonic()
            with pytest.raises(Timeout):
                client.with_options(timeout_s=timeout_s).add("hits")
            delays[timeout_s] = time.monotonic() - before

        threads = [threading.Thread(target=ask, args=(t,)) for t in (0.8, 0.4, 0.6, 0.05)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for timeout_s, delay_s in delays.items():
        assert timeout_s + 1.0 <= delay_s < timeout_s + 2.5


def test_closing_wakes_all_who_wait(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s"):
        client = Client(tmp_path / "s")
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                client.add("hits")
            except LocalProtocolError as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_until(lambda: client._link.exchange.count == 4)  # pyright: ignore
        client.close()
        client.close()
        for thread in threads:
            thread.join()
    assert len(errors) == 4
    with pytest.raises(LocalProtocolError, match="closed"):
        client.add("hits")
    with pytest.raises(LocalProtocolError, match="closed"):
        client.status()


@pytest.fixture
def interruptible() -> Generator[None]:
    """What ^C does in a terminal: a shell's background job begins with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_leaves_the_client_usable(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s") as listener, Client(tmp_path / "s") as client:

        def interrupt() -> None:
            wait_until(lambda: client._link._driving)  # pyright: ignore
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        with pytest.raises(KeyboardInterrupt):
            client.add("hits")
        with Service(tmp_path / "s", listener=listener.dup()):
            assert client.add("hits") == 2


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_dropped_client_closes_its_connection(service: Service) -> None:
    before = open_descriptors()
    for _ in range(5):
        client = Client(service.path)
        client.add("hits")
        del client
    gc.collect()
    wait_until(lambda: open_descriptors() == before)


def test_broken_connections_leave_no_descriptors(tmp_path: Path) -> None:
    with Service(tmp_path / "s", [Break("read", 5)] * 8) as service:
        with Client(service.path) as client:
            assert client.add("hits") == 1
            wait_until(lambda: service.connections == 9)
            before = open_descriptors()
            service.break_all()
            assert client.add("hits") == 2
            wait_until(lambda: open_descriptors() == before)


GARBAGE = [
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x01\xc1",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    messages.request(1, "kernel.ping", []),
]


@pytest.mark.parametrize("greets", [False, True])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_peer_that_speaks_nonsense_is_told_apart(
    tmp_path: Path, garbage: bytes, greets: bool
) -> None:
    with listen_unix(tmp_path / "s") as listener, Client(tmp_path / "s") as client:

        def serve() -> None:
            listener.settimeout(20)
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                if greets:
                    connection.sendall(greeting(0))
                    connection.recv(65_536)
                connection.sendall(garbage)

        peer = threading.Thread(target=serve)
        peer.start()
        with pytest.raises(RemoteProtocolError):
            client.add("hits")
        peer.join()
        with Service(tmp_path / "s", listener=listener.dup()):
            assert client.add("hits") == 1


def test_an_answer_in_single_bytes_is_put_together(tmp_path: Path) -> None:
    with listen_unix(tmp_path / "s") as listener, Client(tmp_path / "s") as client:

        def serve() -> None:
            listener.settimeout(20)
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for byte in greeting(0) + messages.response(1, "slow"):
                    connection.sendall(bytes([byte]))

        peer = threading.Thread(target=serve)
        peer.start()
        assert client.add("hits") == "slow"
        peer.join()


def test_tcp_with_a_token(tmp_path: Path) -> None:
    breaks = [Break("read", 20), Break("executed", 150)]
    with Service.on_tcp(tmp_path, breaks, token="s3cret") as service:
        address = TcpAddress("127.0.0.1", service.port)
        with Client(address, token="s3cret") as client:
            assert [client.add("hits") for _ in range(9)] == list(range(1, 10))
        with Client(f"127.0.0.1:{service.port}", token="s3cret") as client:
            assert client.add("hits") == 10
        with Client(str(address), token="wrong") as client:
            with pytest.raises(ProtocolError, match="token=.*listen.token_file"):
                client.add("hits")
        with Client(address) as client:
            with pytest.raises(ProtocolError, match="token"):
                client.add("hits")
        assert service.ledger.adds == 10


def test_a_port_where_nobody_listens_is_named(tmp_path: Path) -> None:
    with Service.on_tcp(tmp_path, [], token="s3cret") as service:
        address = f"127.0.0.1:{service.port}"
    with Client(address, connect_timeout_s=0) as client:
        with pytest.raises(NotRunningError, match=f"at tcp:{address}.*listen.tcp={address}"):
            client.ping()


@pytest.mark.parametrize("there", ["data/run/osupervisor.sock", "data"])
def test_a_data_directory_may_appear_after_its_client(tmp_path: Path, there: str) -> None:
    with Client(tmp_path / "data", connect_timeout_s=20) as client:
        with client.pipeline() as pipeline:
            reply = pipeline.add("hits")
            path = tmp_path / there
            path.parent.mkdir(parents=True, exist_ok=True)
            with Service(path):
                assert reply.result() == 1
