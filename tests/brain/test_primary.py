"""A primary in a real process: it executes in order, undoes what is not confirmed, and follows."""

import os
import signal
import time

import pytest

from osupervisor.bridge import port_messages
from tests.brain.driver import SEED, T_US, BrainEnd, Log, Nursery, nursery, pack, unpack, wait_until


def primary(nest: Nursery, log: Log, epoch: int = 1) -> BrainEnd:
    """A brain that holds the lease `epoch`, on an empty log or on all of it."""
    brain = nest.spawn(f"brain-{epoch}")
    brain.records(*log.records, log.lease(epoch))
    brain.lease(epoch, log.lsn)
    return brain


def test_brain_serves_from_its_first_lease_on() -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        assert (brain.ready["lsn"], brain.ready["epoch"]) == (0, 0)
        assert brain.ready["abilities"] == ["undo", "cell", "reattach", "fork"]
        assert brain.do(log, "add", "hits", n=3).result == 3
        assert brain.do(log, "add", "hits").result == 4
        assert brain.ping() == {"lsn": 3, "epoch": 1}
        assert brain.hot.snapshot().counters == {"adds": 2}
        assert brain.hot.lsn() == 3
        brain.notify("shutdown")
        assert nest.status_of(brain.pid) == 0


def test_ready_tells_version_and_schema_in_full() -> None:
    with nursery() as nest:
        brain = nest.spawn("a")
        assert brain.ready["id"] == "a"
        assert len(brain.ready["version"]) == 12
        schema = brain.ready["schema"]
        assert schema["ops"]["add"]["parameters"]["required"] == ["name"]
        assert schema["ops"]["get"]["kind"] == "query"
        assert schema["genes"] == {"step": {"default": 1, "low": 1, "high": 10}}
        assert "def weight" in schema["evolvables"]["weight"]["source"]


def test_responses_come_in_order_and_in_batches() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        frames = [
            port_messages.call_frame(n, 1, pack(["c", n, 0]), _add("hits")) for n in range(1, 101)
        ]
        brain.send(b"".join(frames))
        responses = [brain.response() for _ in range(100)]
        assert [response.n for response in responses] == list(range(1, 101))
        assert [response.result for response in responses] == list(range(1, 101))


def test_failed_op_changes_nothing_and_is_a_commit() -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        failed = brain.do(log, "fail", "x")
        assert failed.failure is not None
        assert (failed.ops, failed.effects) == (b"\x90", b"\x90")
        assert failed.failure["data"]["type"] == "ValueError"
        assert "raise ValueError" in failed.failure["data"]["traceback"]
        left = brain.do(log, "leave", 3)
        assert left.failure is not None and left.failure["data"]["type"] == "SystemExit"
        assert brain.state() == {}
        assert brain.hot.snapshot().counters == {}


def test_fence_undoes_what_is_not_confirmed_newest_first() -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        brain.do(log, "add", "hits")
        brain.call("add", "hits", n=10)
        brain.call("put", "hits", "gone")
        brain.call("put", "other", [1, 2])
        brain.notify("fence")
        assert brain.expect("fenced") == [2]
        assert brain.state() == {"hits": 1}
        assert brain.hot.snapshot().counters == {"adds": 1}
        brain.lease(2, _with_lease(log, brain, 2))
        assert brain.call("add", "hits").result == 2


def test_responses_behind_a_fence_are_dropped() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        brain.call("add", "hits")
        calls = [port_messages.call_frame(n, 1, pack("k"), _add("hits")) for n in range(2, 10)]
        brain.send(b"".join(calls) + port_messages.notify_frame("fence"))
        brain.send(port_messages.ping_frame(2**63))
        assert brain.expect("fenced") == [1]
        assert brain.message()[:2] == [1, 2**63]
        assert brain.quiet()


def test_redelivery_to_the_next_primary_gives_the_same_commit() -> None:
    """The request carries time and seed, so a copy executes to the byte."""
    with nursery() as nest:
        log = Log()
        first = primary(nest, log)
        first.do(log, "add", "hits", n=5)
        lost = first.call("draw")
        first.kill(signal.SIGKILL)
        assert os.WIFSIGNALED(nest.status_of(first.pid))
        second = primary(nest, log, epoch=2)
        again = second.call("draw")
        assert (again.outcome, again.ops, again.effects) == (lost.outcome, lost.ops, lost.effects)
        assert again.result[0] == T_US / 1e6
        assert second.state() == {"hits": 5}


def test_request_tells_its_key_without_what_changes_at_redelivery() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        packed = port_messages.request_bytes(pack("draw") + pack([]) + pack({}), T_US, SEED)
        for key, shown in (
            (["client", 7, 3], ["client", 7]),
            ([2, 10, 0], [2, 10, 0]),
            ([5, 9], [5, 9]),
        ):
            brain.begin_request(packed, key)
            assert brain.response().result[3] == shown


def test_query_changes_nothing_and_may_not_write() -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        brain.do(log, "add", "hits")
        found = brain.call("get", "hits")
        assert (found.result, found.ops) == (1, None)
        cheated = brain.call("cheat")
        assert cheated.failure is not None and cheated.ops is None
        assert cheated.failure["code"] == "OpFailed"
        assert "cheated" in cheated.failure["message"]
        assert brain.state() == {"hits": 1}


def test_effects_stand_in_the_commit() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        assert unpack(brain.call("later", 1.5, "x").effects) == [
            ["after", 1_500_000, "add", ["x"], {"n": 2}],
            ["cast", "add", ["x"], {}],
            ["emit", "planned", {"name": "x"}],
        ]


def test_state_is_read_at_a_path_with_a_number_of_its_own() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        brain.call("put", "tree", {"a": [1, {"b": 2}]})
        for path, wanted in (
            (["tree", "a", 1, "b"], 2),
            ([], {"tree": {"a": [1, {"b": 2}]}}),
        ):
            brain.n += 1
            brain.send(port_messages.state_frame(brain.n, 1, pack(path)))
            assert brain.response().result == wanted
        brain.n += 1
        brain.send(port_messages.state_frame(brain.n, 1, pack(["tree", "z"])))
        missing = brain.response().failure
        assert missing is not None and missing["code"] == "InvalidArguments"
        assert "'z'" in missing["message"]


def test_undecodable_request_is_answered_and_its_neighbours_too() -> None:
    """A client's bytes reach the brain undecoded; map keys that are arrays can't be decoded."""
    with nursery() as nest:
        brain = primary(nest, Log())
        bad = port_messages.request_bytes(pack("put") + b"\x91\x81\x91\x01\x02" + b"\x80", 1, 1)
        deep = port_messages.request_bytes(pack("put") + b"\x91" * 3_000 + b"\xc0\x80", 1, 1)
        text = port_messages.request_bytes(pack("put") + b"\x92\xa2\xff\xfe\xc0\x80", 1, 1)
        requests = [_add("a"), bad, _add("a"), deep, text, _add("a")]
        key = pack(["c", 1, 0])
        frames = [port_messages.call_frame(n + 1, 1, key, r) for n, r in enumerate(requests)]
        brain.send(b"".join(frames))
        responses = [brain.response() for _ in requests]
        assert [response.result for response in responses] == [1, None, 2, None, None, 3]
        for index in (1, 3, 4):
            failure = responses[index].failure
            assert failure is not None and failure["code"] == "InvalidArguments", failure
            assert responses[index].ops == b"\x90"


def test_undecodable_request_in_pieces_is_answered() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        bad = port_messages.request_bytes(
            pack("put") + b"\x92" + pack("x" * 300_000) + b"\x81\x91\x01\x02" + b"\x80", 1, 1
        )
        key = pack(["c", 1, 0])
        stream = b"".join(
            port_messages.call_frame(n, 1, key, r) for n, r in ((1, _add("a")), (2, bad))
        ) + port_messages.call_frame(3, 1, key, _add("a"))
        for start in range(0, len(stream), 70_000):
            brain.send(stream[start : start + 70_000])
        assert [brain.response().result for _ in range(3)] == [1, None, 2]


def test_frames_may_come_byte_by_byte() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        frame = port_messages.call_frame(1, 1, pack(["c", 1, 0]), _add("hits"))
        for offset in range(len(frame)):
            brain.send(frame[offset : offset + 1])
        assert brain.response().result == 1


def test_commit_over_the_limit_is_undone() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        size = 9 * 2**20
        brain.call("put", "kept", "x" * size)
        failed = brain.call("double", "kept")
        assert failed.failure is not None
        assert failed.failure["data"]["type"] == "CommitTooLarge"
        assert failed.ops == b"\x90"
        brain.send(port_messages.read_state_frame(2**62, pack(["kept"])))
        assert len(brain.message()[3][1]) == size + 6


def test_ping_is_answered_behind_a_long_op_and_the_beat_goes_on() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        n = brain.begin("sleep", 1.2)
        wait_until(lambda: brain.hot.cell()[0] == n, "the cell holds the op's number")
        since = brain.hot.cell()[1]
        assert abs(time.monotonic_ns() - since) < 5e9
        beat = brain.hot.heartbeat_ns()
        wait_until(lambda: brain.hot.heartbeat_ns() > beat, "a beat while the op runs")
        activity = wait_until(lambda: brain.hot.snapshot().activity, "the op's name")
        assert (activity.op, activity.since_ns) == ("sleep", since)
        assert unpack(activity.key) == ["c", 1, 0]
        brain.send(port_messages.ping_frame(2**63))
        assert brain.response().n == n
        assert brain.message()[:2] == [1, 2**63]
        assert brain.hot.cell()[0] == 0


def test_an_answer_does_not_wait_for_the_op_behind_it() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        brain.kill(signal.SIGSTOP)  # so that both are read at once
        first = brain.begin("add", "hits")
        spinning = brain.begin("spin")
        brain.kill(signal.SIGCONT)
        assert brain.response().n == first
        wait_until(lambda: brain.hot.cell()[0] == spinning, "the op behind it runs")
        brain.kill(signal.SIGKILL)
        nest.status_of(brain.pid)


def test_a_read_of_the_state_stands_in_the_cell_while_it_lasts() -> None:
    """Else nobody is blamed where it takes too much memory, and a long one is taken for silence."""
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        brain.do(log, "add", "hits")
        _, before = brain.hot.cell()
        brain.send(port_messages.state_frame(brain.n + 1, 1, pack(["hits"])))
        assert brain.response().result == 1
        n, since = brain.hot.cell()
        assert n == 0 and since > before


def test_a_read_without_a_lease_stands_in_the_cell_as_well() -> None:
    with nursery() as nest:
        brain = nest.spawn("reader")
        assert brain.read("get", "hits").result is None
        n, first = brain.hot.cell()
        assert n == 0 and first > 0
        assert brain.state() == {}
        n, second = brain.hot.cell()
        assert n == 0 and second > first


def test_traceback_of_a_hung_op_can_be_taken() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        n = brain.begin("spin")
        wait_until(lambda: brain.hot.cell()[0] == n, "the op runs")
        brain.kill(signal.SIGUSR2)
        printed = ""

        def shown() -> bool:
            nonlocal printed
            printed += brain.printed()
            return "in spin" in printed

        wait_until(shown, "the traceback")
        brain.kill(signal.SIGKILL)
        assert os.WTERMSIG(nest.status_of(brain.pid)) == signal.SIGKILL


def test_killed_brain_leaves_whole_responses_and_half_a_frame_at_most() -> None:
    """Whatever was flushed can be read after the death; the cell names what was running."""
    with nursery() as nest:
        brain = primary(nest, Log())
        for _ in range(20):
            brain.begin("add", "hits")
        n = brain.begin("spin")
        wait_until(lambda: brain.hot.cell()[0] == n, "the op runs")
        brain.kill(signal.SIGKILL)
        nest.status_of(brain.pid)
        assert brain.hot.cell()[0] == n
        assert brain.hot.snapshot().counters == {"adds": 20}
        brain.wait_for_end()


def test_crash_in_an_op_is_reported_with_its_status() -> None:
    with nursery() as nest:
        brain = primary(nest, Log())
        brain.begin("die", 9)
        assert os.WEXITSTATUS(nest.status_of(brain.pid)) == 9
        assert brain.hot.cell()[0] == 1


def test_flood_of_output_neither_blocks_nor_fails_an_op() -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        for _ in range(5):
            assert brain.do(log, "shout", 300_000).result == 300_000
        assert brain.do(log, "add", "hits").result == 1
        printed = brain.printed()
        assert 0 < len(printed) < 1_000_000
        brain.do(log, "shout", 10)
        assert "bytes of output dropped]" in brain.printed()


def test_request_out_of_order_ends_the_brain() -> None:
    for n, epoch in ((2, 1), (1, 2)):
        with nursery() as nest:
            brain = primary(nest, Log())
            brain.send(port_messages.call_frame(n, epoch, pack("k"), _add("x")))
            assert os.WEXITSTATUS(nest.status_of(brain.pid)) == 70
            assert f"found request {n} of epoch {epoch}, wanted 1 of epoch 1" in brain.printed()


def test_lease_at_another_lsn_ends_the_brain() -> None:
    with nursery() as nest:
        brain = nest.spawn("a")
        brain.lease(1, 5)
        assert os.WEXITSTATUS(nest.status_of(brain.pid)) == 70
        assert "found a lease at LSN 5; the brain is at 0" in brain.printed()


def _add(name: str) -> bytes:
    return port_messages.request_bytes(pack("add") + pack([name]) + pack({}), T_US, SEED)


def _with_lease(log: Log, brain: BrainEnd, epoch: int) -> int:
    brain.records(log.lease(epoch))
    return log.lsn


def test_output_kept_at_import_is_the_brains_own() -> None:
    """A logging handler holds on to `sys.stderr` as it was when the module was imported."""
    with nursery() as nest:
        brain = primary(nest, Log())
        for _ in range(3):
            assert brain.call("log", "y" * 100_000).failure is None
        printed = brain.printed()
        assert "yyyy" in printed and "BlockingIOError" not in printed
        assert nest.process.stderr is not None


@pytest.mark.parametrize("end", [True, False])
def test_child_that_an_op_forks_is_no_brain(end: bool) -> None:
    with nursery() as nest:
        log = Log()
        brain = primary(nest, log)
        for _ in range(3):
            assert brain.do(log, "fork", end).result is True
        assert brain.do(log, "add", "hits").result == 1
        brain.ping()
        assert brain.quiet(), "nobody else has answered"
        brain.kill(signal.SIGKILL)
        brain.wait_for_end()
