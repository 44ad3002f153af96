"""Fences: a primary undoes what was not confirmed, and follows."""

import pytest

from osupervisor.supervisor.core.lease import LeaseState
from osupervisor.supervisor.core.outbox import KillBrain
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Rig, small


def test_a_full_disk_fences_the_primary_and_refuses_what_would_be_logged() -> None:
    rig = Rig()
    rig.ready(1)
    call, query = rig.call("add", key="k"), rig.call("read")
    rig.turn()
    rig.respond(1)
    rig.turn(whole=0)
    assert rig.code(call) == "ReadOnly" and not rig.answered(query)
    assert rig.methods(1)[-1] == "fence"


def test_what_was_written_whole_is_confirmed_before_the_fence() -> None:
    rig = Rig()
    rig.ready(1)
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    for n in (1, 2, 3):
        rig.respond(n)
    rig.take(1)
    rig.turn(whole=2)
    assert [rig.code(call) for call in calls] == ["", "", "ReadOnly"]
    assert [each[1:] for each in rig.take(1)] == [["confirm", [2, 3]], ["fence", []]]
    rig.core.fenced(1, 3)
    rig.heal()
    assert rig.core.primary is not None and not rig.acted(KillBrain)


def test_the_standby_gets_the_lease_while_the_old_primary_is_still_fencing() -> None:
    """It may be in the middle of a long op: what it does there can't count any more."""
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.call("add", key="long")
    rig.turn()
    rig.break_disk()
    rig.heal()
    assert rig.core.primary is not None and rig.core.primary.id == 2
    rig.respond(1, brain=1, epoch=1)
    rig.core.fenced(1, 1)
    rig.turn()
    assert Kind.COMMIT not in rig.kinds() and not rig.acted(KillBrain)
    assert rig.core.brains[1].streaming and rig.core.brains[1].sent == len(rig.log)


def test_without_a_standby_the_fenced_one_gets_the_lease_again() -> None:
    rig = Rig()
    rig.ready(1)
    rig.break_disk()
    rig.heal()
    assert rig.core.primary is None
    rig.core.fenced(1, 1)
    rig.turn()
    assert rig.core.primary is not None and rig.kinds() == [Kind.LEASE, Kind.LEASE]


def test_one_that_answers_no_fence_is_killed() -> None:
    rig = Rig(limits=small(op_timeout_us=1_000_000))
    rig.ready(1)
    rig.ready(2)
    rig.break_disk()
    rig.wait(5.9)
    rig.tick()
    assert not rig.acted(KillBrain)
    rig.wait(0.2)
    rig.tick()
    assert [action.brain for action in rig.acted(KillBrain)] == [1]


def test_a_lease_whose_record_was_not_written_is_not_held() -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.core.died(1, 0)
    rig.turn(whole=0)
    assert rig.context.lease.state is LeaseState.VACANT
    assert "lease" not in rig.methods(2)
    rig.heal()
    assert rig.take(2)[-1] == [2, "lease", [2, 2]]


@pytest.mark.parametrize("drained", [False, True])
def test_nothing_is_streamed_to_one_that_is_fencing(drained: bool) -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.break_disk()
    rig.take(1)
    if drained:
        rig.core.lagging(1)
        rig.core.drained(1)
    rig.heal()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    assert rig.take(1) == []


def test_a_lease_that_used_up_its_numbers_ends_when_nothing_is_in_flight() -> None:
    """On the port n is a uint32."""
    rig = Rig(limits=small(deliveries_max=3))
    rig.ready(1)
    calls = [rig.call("add", key=f"k{n}") for n in range(4)]
    rig.turn()
    assert rig.methods(1) == ["record", "lease", "call", "call", "call"]
    for n in (1, 2):
        rig.respond(n)
        rig.turn()
    assert "fence" not in rig.methods(1)
    rig.respond(3)
    rig.turn()
    assert rig.take(1) == [[2, "confirm", [3, 4]], [2, "fence", []]]
    assert [rig.code(call) for call in calls] == ["", "", "", "-"]
    rig.core.fenced(1, 4)
    rig.turn()
    _, lease, call = rig.take(1)
    assert lease == [2, "lease", [2, 5]] and call[:3] == [0, 1, "call"]
    rig.respond(1)
    rig.turn()
    assert rig.code(calls[3]) == "" and not rig.acted(KillBrain)


def test_the_standby_counts_anew_at_once() -> None:
    rig = Rig(limits=small(deliveries_max=1))
    rig.ready(1)
    rig.ready(2)
    rig.call("add", key="k1")
    last = rig.call("read")
    rig.turn()
    rig.take(2)
    rig.respond(1)
    rig.turn()
    assert rig.methods(2) == ["record", "lease", "call"]
    assert rig.core.primary is not None and rig.core.primary.id == 2
    rig.respond(1, query=True)
    rig.turn()
    assert rig.code(last) == ""


def test_a_query_may_take_the_last_number() -> None:
    rig = Rig(limits=small(deliveries_max=1))
    rig.ready(1)
    query = rig.call("read")
    rig.turn()
    rig.respond(1, query=True)
    rig.turn()
    assert rig.code(query) == "" and rig.methods(1)[-1] == "fence"


def test_a_full_disk_puts_off_the_end_of_a_lease() -> None:
    rig = Rig(limits=small(deliveries_max=1))
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn(whole=0)
    assert rig.methods(1).count("fence") == 1
    rig.core.fenced(1, 1)
    rig.heal()
    assert rig.methods(1) == ["record", "lease"] and rig.core.primary is not None
