"""What must hold, line by line, against a real service."""

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from osupervisor.bridge import packing
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import (
    OpFailed,
    Overloaded,
    ProtocolError,
    Quarantined,
    Timeout,
)
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]


def test_a_retry_under_the_same_key_gets_the_first_answer(start: Start) -> None:
    service = start()
    keyed = service.client.with_options(key="invoice-17")
    assert keyed.call("add", "x", 5) == 5
    service.client.call("add", "x", 1)
    assert keyed.call("add", "x", 5) == 5
    service.kill("primary")
    assert keyed.call("add", "x", 5) == 5
    service.kill("supervisor")
    assert keyed.call("add", "x", 5) == 5
    service.kill_everything()
    service.start()
    assert keyed.call("add", "x", 5) == 5
    assert service.client.call("get", "x") == 6
    with pytest.raises(ProtocolError):
        keyed.call("add", "x", 6)


def test_who_sends_more_string_keys_than_are_remembered_is_warned(start: Start) -> None:
    service = start("[idempotency]\nkeys_max = 20\n")
    for number in range(40):
        service.client.with_options(key=f"invoice-{number}").call("add", "x", 1)
    words = "string keys are remembered for"
    wait_for(lambda: words in str(service.status()["complaints"]), "the complaint")
    assert service.status()["health"] == "degraded"
    (said,) = [row for row in service.log() if row["message"] == "keys.window_short"]
    assert said["held_s"] < said["wanted_s"]


def test_a_long_answer_is_read_from_the_log_again(start: Start) -> None:
    service = start()
    keyed = service.client.with_options(key="receipt-1")
    first = keyed.call("receipt", "a")
    service.client.call("receipt", "b")
    assert keyed.call("receipt", "a") == first
    service.client.request("system.checkpoint")
    service.kill_everything()
    service.start()
    assert keyed.call("receipt", "a") == first


def test_an_answer_that_must_be_durable_is(start: Start) -> None:
    service = start('[wal]\nsync_interval_s = "60s"\n')
    lsn = service.status()["lsn"]
    service.client.with_options(durability="always").call("add", "x", 1)
    assert service.status()["durable_lsn"] > lsn


def expect_quarantined_alone(service: Running, op: str, key: str | None = None) -> None:
    """A call of `op` becomes the only dead letter; 80 calls around it have their effect once."""
    with ThreadPoolExecutor(8) as pool:
        innocents = [pool.submit(service.client.call, "add", "ok", 1) for _ in range(40)]
        with pytest.raises(Quarantined):
            service.client.with_options(key=key).call(op)
        innocents += [pool.submit(service.client.call, "add", "ok", 1) for _ in range(40)]
        for innocent in innocents:
            innocent.result()
    assert service.client.call("get", "ok") == 80
    letters = service.client.request("system.deadletter", ["ls"])
    assert [letter["op"] for letter in letters] == [op]


def test_a_request_that_kills_its_brain_three_times_is_quarantined_alone(start: Start) -> None:
    service = start()
    expect_quarantined_alone(service, "die", key="poison")
    with pytest.raises(Quarantined):
        service.client.with_options(key="poison").call("die")

    def crashes() -> list[dict[str, object]]:
        return list(service.client.request("system.crashes", ["ls"]))

    wait_for(lambda: len(crashes()) >= 3, "three reports")
    shown = service.client.request("system.crashes", ["show", crashes()[0]["id"]])
    assert shown["request"]["op"] == "die" and shown["cause"]["name"] == "SIGKILL"


def test_reports_of_deaths_tell_of_the_moment_of_each(start: Start) -> None:
    """They are written later, when the service has moved on: two brains and two leases further."""
    service = start()
    service.pid("standby")
    with pytest.raises(Quarantined):
        service.client.call("die")

    def crashes() -> list[dict[str, object]]:
        return list(service.client.request("system.crashes", ["ls"]))

    wait_for(lambda: len(crashes()) == 3, "three reports")
    reports = [service.client.request("system.crashes", ["show", row["id"]]) for row in crashes()]
    reports.reverse()
    assert [report["epoch"] for report in reports] == [1, 2, 3]
    holders = [report["brain"] for report in reports]
    assert [report["took_over"] for report in reports[:-1]] == holders[1:]
    leases = [row for row in service.log() if row["message"] == "lease.granted"]
    assert [f"brain-{row['brain']}" for row in leases] == [*holders, reports[-1]["took_over"]]
    assert reports[0]["lsn"] < reports[1]["lsn"] < reports[2]["lsn"]


def test_a_request_whose_brain_dies_a_moment_later_is_quarantined_alone(start: Start) -> None:
    service = start()
    expect_quarantined_alone(service, "close_everything")


def test_past_its_deadline_an_op_is_traced_killed_and_answered(start: Start) -> None:
    service = start()
    primary = service.pid("primary")
    with pytest.raises(Timeout) as caught:
        service.client.with_options(timeout_s=0.4).call("spin")
    assert caught.value.data["final"] is True
    assert service.client.call("add", "x", 1) == 1
    assert service.pid("primary") != primary
    wait_for(lambda: service.client.request("system.crashes", ["ls"]), "the report")
    report = service.client.request("system.crashes", ["ls"])[0]
    shown = service.client.request("system.crashes", ["show", report["id"]])
    assert "in spin" in shown["traceback"]


def test_long_answers_come_to_a_client_that_was_cut_off_as_it_did_not_read(start: Start) -> None:
    """It asks again for all of them, and they must not cut it off again."""
    service = start('[listen]\nunsent_bytes_max = "2MiB"\n')
    service.client.call("add", "x", 1)  # connected
    pipeline = service.client.pipeline(window=100)
    replies = [pipeline.call("receipt", str(n), 2**20) for n in range(12)]
    pipeline.flush()
    with Client(service.data) as other:
        wait_for(lambda: "osupervisor_connections 1\n" in other.metrics(), "the cut")
    pipeline.drain()
    assert [reply.result().split()[0] for reply in replies] == [str(n) for n in range(12)]
    assert service.client.state(["receipts"]) == 12


def test_a_stopped_brain_is_replaced_and_blamed_for_nothing(start: Start) -> None:
    service = start("[health]\nsuspicion_s = 0.3\nsilence_s = 0.5\n")
    os.kill(service.pid("primary"), signal.SIGSTOP)
    assert service.client.with_options(key="k").call("add", "x", 1) == 1
    assert service.client.request("system.deadletter", ["ls"]) == []


def test_a_request_that_stops_every_brain_is_quarantined(start: Start) -> None:
    """Nothing behind it got anywhere."""
    service = start("[health]\nsuspicion_s = 0.3\nsilence_s = 0.5\n")
    with ThreadPoolExecutor(2) as pool:
        stops = pool.submit(service.client.call, "stop")
        behind = [pool.submit(service.client.put, str(n)) for n in range(2)]
        with pytest.raises(Quarantined):
            stops.result()
        assert sorted(each.result() for each in behind) == [1, 2]


def test_a_long_op_is_no_silence(start: Start) -> None:
    service = start("[health]\nsuspicion_s = 0.2\nsilence_s = 0.3\n")
    primary = service.pid("primary")
    assert service.client.call("nap", 1.0) == "slept"
    assert service.pid("primary") == primary


def test_casts_and_timers_run_once_also_over_deaths(start: Start) -> None:
    service = start()
    service.client.later(0.3, "timer")
    service.client.cast_put("cast")
    service.kill("primary")
    wait_for(lambda: "timer" in service.tokens(), "the timer")
    service.client.later(0.5, "second")
    service.kill_everything()
    service.start()
    wait_for(lambda: "second" in service.tokens(), "the timer of before")
    assert sorted(service.tokens()) == ["cast", "second", "timer"]


def test_more_than_queue_max_is_refused_at_once(start: Start) -> None:
    service = start("queue_max = 20\n")
    refused: list[str] = []

    def call(number: int) -> None:
        with Client(service.data, timeout_s=30, retries=False) as client:
            try:
                client.call("nap", 0.2 if number == 0 else 0.0)
            except Overloaded as error:
                refused.append(error.code)

    window = [threading.Thread(target=call, args=(number,)) for number in range(2)]
    for thread in window:
        thread.start()
    with Client(service.data, timeout_s=30, retries=False) as client:
        with client.pipeline(window=2000, raising=False) as pipeline:
            replies = [pipeline.call("nap", 0.002) for _ in range(600)]
        outcomes = [_code(reply.result) for reply in replies]
    for thread in window:
        thread.join()
    assert "Overloaded" in outcomes
    assert set(outcomes) <= {"", "Overloaded"}


def _code(result: Callable[[], object]) -> str:
    try:
        result()
    except Overloaded as error:
        return error.code
    return ""


def test_a_commit_over_16_mib_fails_and_is_undone(start: Start) -> None:
    service = start()
    with pytest.raises(OpFailed):
        service.client.call("huge", 17 * 2**20)
    assert "huge" not in service.client.state()
    assert service.client.call("add", "x", 1) == 1


def test_a_second_supervisor_is_refused(start: Start) -> None:
    service = start()
    again = service.run("start", "--daemon")
    assert again.returncode != 0
    assert str(service.pid("heart")) in again.stderr
    assert service.client.call("add", "x", 1) == 1


def test_garbage_and_half_frames_and_many_connections_are_survived(shared: Running) -> None:
    supervisor, primary = shared.pid("supervisor"), shared.pid("primary")
    path = str(shared.data / "run" / "osupervisor.sock")

    def connect() -> socket.socket:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(30)
        peer.connect(path)
        return peer

    garbage: list[bytes] = [
        os.urandom(2000),
        struct.pack(">I", 2**32 - 1) + b"x" * 100,
        struct.pack(">I", 10) + b"\xc1" * 10,
        struct.pack(">I", 4) + b"\xdd\xff\xff\xff",
        _frame([0, 1, "brain.call", ["add"]]),
        _frame([0, 1, "no.such.method", [None]]),
        _frame([7, 7, 7]),
        _frame({"no": "message"}),
        struct.pack(">I", 2000) + b"\x91" * 2000,
        _framed(b"\x91" * 1000 + b"\x90"),
        _framed(b"\x94\x00\x01\xabbrain.state\x91" + b"\x91" * 1000 + b"\x90"),
        _framed(b"\x94\x00\x01\xaabrain.call\x94\xa3add\x90\x80" + b"\x91" * 1000 + b"\x90"),
    ]
    for data in garbage:
        with connect() as peer:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass
    slow = connect()
    slow.sendall(struct.pack(">I", 100) + b"\x94")
    many = [connect() for _ in range(1000)]
    assert shared.client.call("add", "garbage", 1) == 1
    for peer in many:
        peer.close()
    slow.close()
    assert (shared.pid("supervisor"), shared.pid("primary")) == (supervisor, primary)


def _frame(value: object) -> bytes:
    return _framed(packing.pack(value))


def _framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def test_a_brain_that_scribbles_over_shared_memory_harms_itself_alone(start: Start) -> None:
    service = start()
    supervisor = service.pid("supervisor")
    assert service.client.call("scribble") >= 1
    assert service.client.call("add", "x", 1) == 1
    service.status()
    service.client.metrics()
    service.kill("primary")
    assert service.client.call("add", "x", 1) == 2
    assert service.pid("supervisor") == supervisor


def test_a_brain_that_scribbles_and_then_hangs_is_replaced(start: Start) -> None:
    """Neither the op that it runs nor since when can be read from its memory any more."""
    service = start('[op]\ntimeout_s = "300ms"\n[health]\nsuspicion_s = 0.3\nsilence_s = 0.5\n')
    supervisor = service.pid("supervisor")
    with pytest.raises(Quarantined):
        service.client.call("scribble_and_spin")
    assert service.client.call("add", "x", 1) == 1
    assert service.pid("supervisor") == supervisor


def test_a_brain_that_breaks_the_ports_protocol_harms_itself_alone(start: Start) -> None:
    service = start()
    supervisor = service.pid("supervisor")
    no_params: list[object] = []
    garbage: list[bytes] = [
        os.urandom(2000),
        struct.pack(">I", 2**32 - 1),
        struct.pack(">I", 4) + b"\x94\x01\x05\xc0",
        _frame([1, 5, None, [1]]),
        _frame([2, "damaged", [{"file": -9}]]),
        _frame([2, "ready", [{"pid": 2**40, "lsn": -1, "epoch": 2**70 % 2**63}]]),
        _frame([2, "no such", no_params]),
        _frame([2, "fenced", [-(2**63)]]),
        _frame([2, "spawned", [2**63, -1]]),
        _frame([1, 5, None, [1, b"", 5, b"\xc1"]]),
        _frame([1, 2**64 - 1, None, [0, b""]]),
    ]
    for number, data in enumerate(garbage):
        service.pid("standby")
        service.client.call("garble", str(service.folder / f"garbled-{number}"), data)
        assert service.client.call("add", "x", 1) == number + 1
    assert service.pid("supervisor") == supervisor
    assert "log.damaged" not in (service.data / "logs" / "supervisor.log").read_text()


def test_a_brain_that_names_anothers_process_harms_itself_alone(start: Start) -> None:
    service = start()
    primary = service.pid("primary")
    standby = service.pid("standby")
    lie = _frame([2, "spawned", [service.status()["standby"]["id"], primary]])
    service.client.call("garble", str(service.folder / "garbled"), lie)
    assert service.client.call("add", "x", 1) == 1
    wait_for(lambda: service.pid("primary") != primary, "another primary")
    assert service.pid("primary") == standby


def test_a_primary_that_breaks_the_protocol_is_reported_as_one(start: Start) -> None:
    """It has no lease any more when it is ended for that."""
    service = start()
    primary = service.pid("primary")
    service.pid("standby")
    not_due = _frame([1, 999, None, [1, b"\xc0\xc0", b"\x90", b"\x90"]])
    service.client.call("garble", str(service.folder / "garbled"), not_due)

    def crashes() -> list[dict[str, object]]:
        return list(service.client.request("system.crashes", ["ls"]))

    wait_for(crashes, "the report")
    (report,) = crashes()
    assert (report["pid"], report["role"]) == (primary, "primary")
    assert report["took_over"] is not None


def test_a_brain_whose_message_never_ends_is_replaced(start: Start) -> None:
    """All that it says behind that goes into it: the answer to the op itself, and to every ping."""
    service = start("[health]\nsuspicion_s = 0.3\nsilence_s = 0.5\n")
    primary, supervisor = service.pid("primary"), service.pid("supervisor")
    begun = struct.pack(">I", 2**20) + b"\x94"
    service.client.call("garble", str(service.folder / "garbled"), begun)
    assert service.client.call("add", "x", 1) == 1
    assert (service.pid("primary") != primary, service.pid("supervisor")) == (True, supervisor)
    wait_for(lambda: "no answer" in service.log_tail(), "the log line")


@pytest.mark.parametrize(
    "fields",
    [
        {"lsn": 2**63, "epoch": -1},
        {"lsn": 1, "epoch": 1, "abilities": 7, "schema": {"ops": {1: {2: 3}}}},
        {"lsn": 1, "epoch": 1, "abilities": {1: 2}, "schema": 5, "version": [None]},
        {"lsn": 1, "epoch": 1, "pid": 1},
    ],
)
def test_a_brain_that_says_ready_with_nonsense_harms_itself_alone(
    shared: Running, fields: dict[str, object]
) -> None:
    supervisor, before = shared.pid("supervisor"), shared.client.call("get", "y")
    shared.pid("standby")
    ready = _frame([2, "ready", [{"pid": shared.pid("primary"), **fields}]])
    shared.client.call("garble", str(shared.folder / f"ready-{len(fields)}-{before}"), ready)
    assert shared.client.call("add", "y", 1) == before + 1
    shared.pid("standby")
    assert shared.pid("supervisor") == supervisor


def test_a_brain_that_floods_its_output_harms_itself_alone(start: Start) -> None:
    service = start("[brain]\noutput_bytes_per_s = 4096\n")
    supervisor = service.pid("supervisor")
    assert service.client.call("flood", 5_000_000) == 5_000_000
    assert service.client.call("add", "x", 1) == 1
    assert service.pid("supervisor") == supervisor
    logged = (service.data / "logs" / "supervisor.log").stat().st_size
    assert logged < 1_000_000


def test_hot_counters_are_in_the_metrics(shared: Running) -> None:
    shared.client.call("add", "counted", 1)
    deadline = time.monotonic() + 30
    while 'osupervisor_brain_hot{name="adds"}' not in shared.client.metrics():
        assert time.monotonic() < deadline


def test_a_hung_brain_is_traced_and_replaced(start: Start) -> None:
    service = start("[health]\nsuspicion_s = 0.3\nsilence_s = 0.5\n")
    primary = service.pid("primary")
    assert service.run("chaos", "hang").returncode == 0
    assert service.client.call("add", "x", 1) == 1
    assert service.pid("primary") != primary
    wait_for(lambda: "no sign of life" in service.log_tail(), "the log line")


def test_a_hot_counter_that_was_taken_out_is_in_the_metrics_no_more(shared: Running) -> None:
    row = 'osupervisor_brain_hot{name="passing"}'
    shared.client.call("count", "passing", 7)
    wait_for(lambda: f"{row} 7" in shared.client.metrics(), "the counter")
    shared.client.call("count", "passing", 0)
    wait_for(lambda: row not in shared.client.metrics(), "its end")


def test_who_follows_on_a_call_that_ran_too_long_does_not_get_its_timeout(start: Start) -> None:
    """It gets through while its traceback is waited for, and the brain is in the next call then."""
    service = start()
    late = service.client.with_options(timeout_s=0.4).pipeline().call("nap", 0.45)
    behind = service.client.pipeline().call("nap", 1.0)
    assert behind.result() == "slept"
    assert late.done


def test_a_call_whose_brain_is_hung_on_command_is_executed_by_the_next(start: Start) -> None:
    """Chaos is blamed on nobody, also where it comes in the midst of an op."""
    service = start('[op]\ntimeout_s = "1s"\n')
    primary = service.pid("primary")
    with Client(service.data) as client:  # without a time of its own, which bounds the wait as well
        assert client.ping() == "pong"
        pipeline = client.pipeline()
        nap = pipeline.call("nap", 0.7)
        pipeline.flush()
        wait_for(lambda: service.status()["in_flight"], "the nap")
        service.client.request("system.chaos", ["hang", "primary"])
        assert nap.result() == "slept"
    assert service.pid("primary") != primary
