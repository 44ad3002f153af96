"""Followers in real processes: records, gaps, new ports, spawned followers, ends."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from osupervisor.brain import fork
from osupervisor.bridge import line as bridge_line
from osupervisor.bridge import port_messages
from osupervisor.vault_store.futex import wait_for_death
from osupervisor.wal.record import Kind
from tests.brain.driver import BrainEnd, Ended, Log, Nursery, nursery, pack, wait_until

STATE = {"hits": 6, "tree": {"a": [1, {"b": None}], 7: b"bytes"}, "last": 2.5}


def served(nest: Nursery, log: Log) -> BrainEnd:
    """A primary of epoch 1 that has made STATE, all of it in the log and confirmed."""
    brain = nest.spawn("primary")
    brain.records(log.lease(1))
    brain.lease(1, log.lsn)
    brain.do(log, "add", "hits", n=6)
    brain.do(log, "put", "tree", STATE["tree"])
    brain.do(log, "fail", "x")
    brain.do(log, "put", "last", 2.5)
    return brain


def test_follower_holds_the_state_of_the_log() -> None:
    with nursery() as nest:
        log = Log()
        served(nest, log)
        log.append(Kind.DEATH, 1, b"key")
        log.append(Kind.CONTROL, 1, b"", b"", b"fold")
        follower = nest.spawn("follower")
        follower.records(*log.records)
        assert follower.ping() == {"lsn": log.lsn, "epoch": 1}
        assert follower.state() == STATE
        assert follower.state("tree", "a", 1) == {"b": None}
        assert follower.hot.lsn() == log.lsn
        assert follower.hot.snapshot().counters == {}


def test_follower_mirrors_its_counters_from_its_lease_on() -> None:
    with nursery() as nest:
        log = Log()
        served(nest, log)
        follower = nest.spawn("follower")
        follower.records(*log.records, log.lease(2))
        follower.lease(2, log.lsn)
        follower.ping()
        assert follower.hot.snapshot().counters == {"adds": 1}
        assert follower.call("add", "hits").result == 7
        assert follower.hot.snapshot().counters == {"adds": 2}


def test_follower_answers_reads_and_refuses_ops() -> None:
    with nursery() as nest:
        log = Log()
        served(nest, log)
        follower = nest.spawn("follower")
        follower.records(*log.records)
        assert follower.read("get", "hits").result == 6
        refused = follower.read("add", "hits").failure
        assert refused is not None and refused["code"] == "ReadOnly"
        unknown = follower.read("nothing").failure
        assert unknown is not None and unknown["code"] == "OpNotFound"
        assert follower.state() == STATE


@pytest.mark.parametrize("skipped", [0, 1])
def test_follower_that_is_given_a_gap_dies(skipped: int) -> None:
    with nursery() as nest:
        log = Log()
        served(nest, log)
        follower = nest.spawn("follower")
        follower.records(*log.records[:2])
        follower.records(*log.records[2 + skipped + 1 :])
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70
        assert "that are not the record of LSN 3" in follower.printed()


def test_follower_that_is_given_a_damaged_record_dies() -> None:
    with nursery() as nest:
        log = Log()
        served(nest, log)
        follower = nest.spawn("follower")
        stream = bytearray(b"".join(log.records))
        stream[len(stream) // 2] ^= 1
        follower.records(bytes(stream))
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70
        assert "a checksum is wrong" in follower.printed()


def test_call_without_a_lease_ends_the_brain() -> None:
    with nursery() as nest:
        follower = nest.spawn("follower")
        follower.begin("add", "x")
        assert os.WEXITSTATUS(nest.status_of(follower.pid)) == 70
        assert "the brain is a follower" in follower.printed()


def test_record_for_a_primary_ends_it() -> None:
    with nursery() as nest:
        log = Log()
        brain = served(nest, log)
        brain.records(log.lease(2))
        assert os.WEXITSTATUS(nest.status_of(brain.pid)) == 70


def test_brain_without_a_port_undoes_and_waits_for_a_new_one() -> None:
    """The supervisor died: what it had not confirmed never happened; the next one goes on."""
    with nursery() as nest:
        log = Log()
        brain = served(nest, log)
        brain.call("add", "hits", n=100)
        pid = brain.pid
        brain.new_port(2)
        ready = brain.expect_ready()
        assert (ready["pid"], ready["lsn"], ready["epoch"]) == (pid, log.lsn, 1)
        assert brain.state() == STATE
        assert brain.hot.snapshot().counters == {"adds": 1}
        brain.records(log.lease(2))
        brain.lease(2, log.lsn)
        assert brain.do(log, "add", "hits").result == 7
        brain.do(log, "shout", 10)
        assert "xxxxxxxxxx" in brain.printed()


def test_brain_reads_what_its_old_port_still_holds() -> None:
    """A record or a confirm that was sent counts, whether its sender lives or not."""
    with nursery() as nest:
        log = Log()
        brain = served(nest, log)
        response = brain.call("add", "hits")
        follower = nest.spawn("follower")
        follower.kill(signal.SIGSTOP)
        brain.commit(log, response)
        follower.records(*log.records)
        follower.send(port_messages.ping_frame(2**63)[:7])
        for end in (brain, follower):
            end.new_port(2)
        follower.kill(signal.SIGCONT)
        for end in (brain, follower):
            assert end.expect_ready()["lsn"] == log.lsn
            assert end.state("hits") == 7


def test_new_port_that_comes_before_the_old_one_ends_is_kept() -> None:
    with nursery() as nest:
        log = Log()
        brain = served(nest, log)
        old = brain.keep_port()
        brain.new_port(2)
        old.sendall(port_messages.confirm_frame(4, log.lsn))
        bridge_line.send(brain.line, ["spawn", "stale"], [brain.hot_fd])
        old.close()
        assert brain.expect_ready()["lsn"] == log.lsn
        assert brain.state("hits") == 6


def test_new_supervisor_is_not_told_of_a_follower_that_the_dead_one_asked_for() -> None:
    """It may have given the same id to another brain by then."""
    with nursery() as nest:
        log = Log()
        brain = served(nest, log)
        child = start_spawn(nest, brain, "child")
        brain.new_port(2)
        assert brain.expect_ready()["lsn"] == log.lsn
        child.expect_ready()
        for _ in range(3):
            assert brain.ping()["lsn"] == log.lsn


def test_brain_ends_when_nobody_holds_its_line() -> None:
    with nursery() as nest:
        brain = served(nest, Log())
        brain.line.close()
        assert brain.ping()["lsn"] == 5, "the line's end alone is no reason while the port lives"
        brain.port.close()
        assert nest.status_of(brain.pid) == 0


def test_follower_spawned_by_a_follower_goes_on_from_its_lsn() -> None:
    with nursery() as nest:
        log = Log()
        primary = served(nest, log)
        parent = nest.spawn("parent")
        parent.records(*log.records)
        child = spawn(nest, parent, "child")
        assert (child.ready["lsn"], child.ready["epoch"]) == (log.lsn, 1)
        record = primary.commit(log, primary.call("add", "hits"))
        for follower in (parent, child):
            follower.records(record)
            assert follower.state("hits") == 7
        assert parent.hot.snapshot().pid == parent.pid
        assert child.hot.snapshot().pid == child.pid


def test_follower_spawned_by_an_idle_primary_is_a_follower() -> None:
    with nursery() as nest:
        log = Log()
        primary = served(nest, log)
        child = spawn(nest, primary, "child")
        record = primary.commit(log, primary.call("add", "hits"))
        child.records(record)
        assert child.state("hits") == 7
        child.records(log.lease(2))
        child.lease(2, log.lsn)
        assert child.call("add", "hits").result == 8
        assert primary.call("add", "hits").result == 8
        assert child.hot.snapshot().counters == {"adds": 3}
        assert primary.hot.snapshot().counters == {"adds": 3}


def test_spawned_follower_outlives_its_parent_and_ends_at_the_nursery() -> None:
    with nursery() as nest:
        log = Log()
        parent = served(nest, log)
        child = spawn(nest, parent, "child")
        parent.kill(signal.SIGKILL)
        assert os.WTERMSIG(nest.status_of(parent.pid)) == signal.SIGKILL
        with pytest.raises(Ended):
            parent.message()
        assert child.state() == STATE
        child.kill(signal.SIGKILL)
        assert os.WTERMSIG(nest.status_of(child.pid)) == signal.SIGKILL


@pytest.mark.parametrize("forks", [0, 1], ids=["the first fork", "the second fork"])
def test_primary_whose_follower_cannot_be_forked_serves_on(forks: int) -> None:
    with nursery(private=True) as nest:
        log = Log()
        primary = served(nest, log)
        primary.do(log, "allow_forks", forks)
        child = start_spawn(nest, primary, "child")
        with pytest.raises(Ended):
            child.message()
        while "follower child could not be forked" not in primary.printed():
            assert primary.ping()["lsn"] == log.lsn
        assert primary.do(log, "add", "hits").result == 7


def test_primary_whose_checkpoint_cannot_be_forked_serves_on(tmp_path: Path) -> None:
    with nursery(private=True) as nest:
        log = Log()
        primary = served(nest, log)
        primary.do(log, "allow_forks", 0)
        reader, writer = os.pipe()
        state = os.open(tmp_path / "state", os.O_RDWR | os.O_CREAT)
        bridge_line.send(primary.line, ["checkpoint", log.lsn], [state, writer])
        for descriptor in (state, writer):
            os.close(descriptor)
        primary.notify("checkpoint", log.lsn, 3)
        assert os.read(reader, 1) == b"", "nobody writes it"
        os.close(reader)
        assert primary.ping()["lsn"] == log.lsn
        assert "could not be forked" in primary.printed()
        assert primary.do(log, "add", "hits").result == 7


def test_what_the_forks_of_a_primary_freeze_is_collected_in_time() -> None:
    """Each freezes the state of its moment, of which nothing is there any more at the next."""
    with nursery(private=True) as nest:
        log = Log()
        primary = served(nest, log)
        count = 2_000
        frozen = [primary.do(log, "nest", count).result]
        for number in range(2 * fork.FORKS_PER_THAW):
            spawn(nest, primary, f"child {number}")
            frozen.append(primary.do(log, "nest", count).result)
        each = 2 * count
        assert frozen[1] - frozen[0] >= each
        assert max(frozen) - frozen[0] < 1.5 * fork.FORKS_PER_THAW * each


def test_spawn_without_descriptors_is_called_off() -> None:
    with nursery() as nest:
        log = Log()
        primary = served(nest, log)
        bridge_line.send(primary.line, ["spawn", "child"])
        primary.notify("spawn", "child")
        assert primary.ping()["lsn"] == log.lsn
        child = spawn(nest, primary, "another")
        assert child.ping()["lsn"] == log.lsn


def test_spawn_from_a_busy_primary_is_a_bug() -> None:
    with nursery() as nest:
        primary = served(nest, Log())
        primary.call("add", "hits")
        start_spawn(nest, primary, "child")
        assert os.WEXITSTATUS(nest.status_of(primary.pid)) == 70
        assert "found spawn with 1 calls unconfirmed" in primary.printed()


def test_brains_outlive_their_nursery() -> None:
    with nursery(private=True) as nest:
        log = Log()
        brain = served(nest, log)
        nest.control.close()
        nest.process.wait(20)
        assert brain.do(log, "add", "hits").result == 7
        brain.notify("shutdown")
        brain.wait_for_end()


def test_death_shows_in_the_robust_mutex_of_every_generation() -> None:
    with nursery() as nest:
        parent = served(nest, Log())
        child = spawn(nest, parent, "child")
        assert not wait_for_death(child.hot.map, 0.0)
        for brain in (child, parent):
            brain.kill(signal.SIGKILL)
            wait_until(partial(wait_for_death, brain.hot.map, 1.0), "the mutex's death")


def start_spawn(nest: Nursery, parent: BrainEnd, brain_id: str) -> BrainEnd:
    child = nest.brain_end()
    bridge_line.send(parent.line, ["spawn", brain_id], child.descriptors())
    child.given()
    parent.notify("spawn", brain_id)
    return child


def spawn(nest: Nursery, parent: BrainEnd, brain_id: str) -> BrainEnd:
    child = start_spawn(nest, parent, brain_id)
    assert child.expect_ready()["id"] == brain_id
    assert parent.expect_spawned() == [brain_id, child.pid]
    return child


def test_reads_in_flight_do_not_need_a_lease() -> None:
    with nursery() as nest:
        follower = nest.spawn("follower")
        bad = port_messages.request_bytes(pack("get") + b"\x91\x81\x91\x01\x02" + b"\x80", 1, 1)
        follower.send(port_messages.read_frame(2**62 + 1, bad))
        message = follower.message()
        assert message[1] == 2**62 + 1
        assert b"InvalidArguments" in message[3][1]
