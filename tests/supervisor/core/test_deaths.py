"""What a death means: blame by the cell, three strikes, verdicts across restarts."""

import pytest

from osupervisor.supervisor.core.outbox import GoesAlone, KeepDeadLetter
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Rig, cast, effects, small


def _many(brains: int = 6, **bounds: int) -> Rig:
    rig = Rig(limits=small(**bounds))
    for brain in range(1, brains + 1):
        rig.ready(brain)
    return rig


def _die(rig: Rig, cell: int | None, *, blame: bool = True, hung: bool = False) -> None:
    primary = rig.core.primary
    assert primary is not None
    delivery = (rig.context.lease.epoch, cell) if hung and cell else None
    rig.core.died(primary.id, cell, blame=blame, hung=delivery)
    rig.turn()


def test_the_one_in_the_cell_is_blamed_and_its_neighbours_are_not() -> None:
    rig = _many()
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    for _ in range(3):
        _die(rig, rig.context.lease.inflight[1].n)
    assert rig.code(calls[1]) == "Quarantined"
    assert rig.error(calls[1])["data"] == {"strikes": 3}
    assert [letter.key for letter in rig.acted(KeepDeadLetter)] == ["k1"]
    for call in list(rig.context.lease.inflight):
        rig.respond(call.n)
    rig.turn()
    assert [rig.code(calls[n]) for n in (0, 2)] == ["", ""]


@pytest.mark.parametrize(
    ("cell", "blame"), [(0, True), (1, False), (9, True)], ids=["idle", "operator", "answered"]
)
def test_nobody_is_blamed(cell: int, blame: bool) -> None:
    rig = _many()
    rig.call("add", key="k")
    rig.turn()
    _die(rig, cell, blame=blame)
    assert Kind.DEATH not in rig.kinds() and rig.context.lease.inflight[0].key == "k"


def test_a_call_whose_brain_dies_a_moment_later_is_found_by_delivering_alone() -> None:
    rig = _many(9)
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    for _ in range(2):
        assert len(rig.context.lease.inflight) == 3
        _die(rig, 0)
    assert [call.key for call in rig.context.lease.inflight] == ["k0"]
    rig.respond(1)
    rig.turn()
    later = rig.call("add", key="later")
    rig.turn()
    for _ in range(3):
        assert [call.key for call in rig.context.lease.inflight] == ["k1"]
        _die(rig, 0)
    assert rig.code(calls[1]) == "Quarantined"
    assert rig.kinds().count(Kind.DEATH) == 3
    assert [call.key for call in rig.context.lease.inflight] == ["k2"]
    rig.respond(1)
    rig.turn()
    rig.respond(2)
    rig.turn()
    assert [rig.code(call) for call in (calls[0], calls[2], later)] == ["", "", ""]


def test_deaths_that_somebody_caused_make_no_call_go_alone() -> None:
    rig = _many(9)
    for n in range(3):
        rig.call("add", key=f"k{n}")
    rig.turn()
    for _ in range(5):
        _die(rig, 0, blame=False)
    assert len(rig.context.lease.inflight) == 3 and Kind.DEATH not in rig.kinds()


def test_what_makes_its_brains_break_the_protocol_is_found_by_delivering_alone() -> None:
    """Else it would do so to each brain that follows, and nobody got anywhere."""
    rig = _many(9)
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    for _ in range(2):
        assert len(rig.context.lease.inflight) == 3
        rig.respond(99)
        rig.turn()
    assert [call.key for call in rig.context.lease.inflight] == ["k0"]
    rig.respond(1)
    rig.turn()
    for _ in range(3):
        assert [call.key for call in rig.context.lease.inflight] == ["k1"]
        rig.respond(99)
        rig.turn()
    assert rig.code(calls[1]) == "Quarantined" and rig.kinds().count(Kind.DEATH) == 3
    rig.respond(1)
    rig.turn()
    assert [rig.code(calls[n]) for n in (0, 2)] == ["", ""]


def test_what_stops_its_brains_is_found_by_delivering_alone() -> None:
    """One brain may be stopped by anybody; every one that follows is not."""
    rig = _many(9)
    calls = [rig.call("add", key=f"k{n}") for n in range(2)]
    rig.turn()
    for deaths in range(5):
        assert rig.kinds().count(Kind.DEATH) == max(0, deaths - 2)
        assert [call.key for call in rig.context.lease.inflight] == ["k0", "k1"][
            : 2 if deaths < 2 else 1
        ]
        primary = rig.core.primary
        assert primary is not None
        rig.core.halted(primary.id)
        rig.turn()
    assert rig.code(calls[0]) == "Quarantined"
    rig.respond(1)
    rig.turn()
    assert rig.code(calls[1]) == ""


def test_a_query_that_a_follower_read_when_it_was_stopped_is_read_by_another_once() -> None:
    rig = _many(4)
    rig.break_disk()
    call = rig.call("read")
    rig.turn()
    for _ in range(2):
        (reader,) = [brain.id for brain in rig.core.brains.values() if brain.reads]
        rig.core.halted(reader)
        rig.turn()
    assert not any(brain.reads for brain in rig.core.brains.values())
    rig.heal()
    assert [each.op for each in rig.context.lease.inflight] == ["read"]
    rig.respond(1, query=True)
    rig.turn()
    assert rig.code(call) == ""


def _outgrow(rig: Rig, cell: int, within_n: int = 0) -> None:
    primary = rig.core.primary
    assert primary is not None
    rig.core.outgrew(primary.id, cell, within_n)
    rig.turn()


def test_a_call_that_always_takes_too_much_memory_is_found_by_delivering_it_alone() -> None:
    rig = _many(9)
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    _outgrow(rig, 2)
    _outgrow(rig, 2)
    assert [call.key for call in rig.context.lease.inflight] == ["k0"]
    assert not rig.acted(GoesAlone)
    rig.respond(1)
    rig.turn()
    for strike in range(3):
        assert [call.key for call in rig.context.lease.inflight] == ["k1"]
        n, primary = rig.context.lease.inflight[0].n, rig.core.primary
        assert primary is not None and rig.acted(GoesAlone)[-1] == GoesAlone(primary.id, n)
        assert rig.kinds().count(Kind.DEATH) == strike
        _outgrow(rig, n, within_n=n)
    assert rig.code(calls[1]) == "Quarantined"
    rig.respond(1)
    rig.turn()
    assert [rig.code(calls[n]) for n in (0, 2)] == ["", ""]


@pytest.mark.parametrize(
    ("cell", "within_n"), [(1, 0), (0, 1), (0, 0)], ids=["large before", "idle", "nothing known"]
)
def test_a_call_that_meets_large_brains_is_never_blamed(cell: int, within_n: int) -> None:
    """Whatever made them grow: not this call, as far as anybody knows."""
    rig = _many(9)
    call = rig.call("add", key="k")
    rig.turn()
    for _ in range(6):
        _outgrow(rig, cell, within_n)
    assert Kind.DEATH not in rig.kinds()
    rig.respond(1)
    rig.turn()
    assert rig.code(call) == ""


def test_a_call_that_had_company_is_not_blamed_for_memory() -> None:
    rig = _many(9)
    for n in range(3):
        rig.call("add", key=f"k{n}")
    rig.turn()
    _outgrow(rig, 1, within_n=1)
    _outgrow(rig, 2, within_n=2)
    assert len(rig.context.lease.inflight) == 3 and Kind.DEATH not in rig.kinds()


def test_a_call_whose_commit_was_received_is_not_blamed() -> None:
    rig = _many()
    call = rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    _die(rig, 1)
    assert Kind.DEATH not in rig.kinds() and rig.code(call) == ""


def test_a_worker_without_a_cell_dies_of_the_first_in_flight() -> None:
    rig = _many()
    rig.call("add", key="a")
    rig.call("add", key="b")
    rig.turn()
    _die(rig, None)
    assert rig.context.fold.strikes == {"a": 1}


def test_an_outcome_ends_the_strikes() -> None:
    rig = _many()
    rig.call("add", key="k")
    rig.turn()
    _die(rig, 1)
    rig.respond(1)
    rig.turn()
    assert not rig.context.fold.strikes


@pytest.mark.parametrize("key", ["k", None])
def test_what_hangs_gets_its_verdict_at_once(key: str | None) -> None:
    rig = _many(op_timeout_us=2_000_000)
    hangs, behind = rig.call("add", key=key), rig.call("add", key="l")
    rig.turn()
    assert rig.core.overdue(1, 1, 2_000_000) is None
    assert rig.core.overdue(1, 2, 2_000_001) is not None
    found = rig.core.overdue(1, 1, 2_000_001)
    assert found is not None and found.n == 1
    _die(rig, 1, blame=False, hung=True)
    assert rig.code(hangs) == "Timeout" and rig.error(hangs)["data"]["final"]
    assert not rig.answered(behind) and rig.kinds()[-2:] == [Kind.VERDICT, Kind.LEASE]
    again = rig.call("add", key="k") if key else 0
    rig.turn()
    assert not key or rig.code(again) == "Timeout"


def test_a_calls_own_timeout_bounds_its_execution() -> None:
    rig = _many(op_timeout_us=2_000_000)
    rig.call("add", key="k", timeout_s=5)
    rig.turn()
    assert rig.core.overdue(1, 1, 4_999_999) is None
    assert rig.core.overdue(1, 1, 5_000_001) is not None
    assert rig.core.overdue(2, 1, 5_000_001) is None and rig.core.overdue(1, 0, 9_000_000) is None


@pytest.mark.parametrize("cell", [0, 2])
def test_what_ran_too_long_and_got_through_unreceived_has_its_verdict(cell: int) -> None:
    """Else it would do so in each brain that follows, and nobody got anywhere."""
    rig = _many()
    late, behind = rig.call("add", key="k"), rig.call("add", key="l")
    rig.turn()
    rig.core.died(1, cell, blame=False, hung=(rig.context.lease.epoch, 1))
    rig.turn()
    assert rig.code(late) == "Timeout" and rig.error(late)["data"]["final"]
    assert not rig.answered(behind)
    rig.respond(1)
    rig.turn()
    assert rig.answered(behind) and rig.code(behind) == ""


def test_what_ran_too_long_and_was_received_meanwhile_counts_and_blames_nobody() -> None:
    rig = _many()
    late, behind = rig.call("add", key="k"), rig.call("add", key="l")
    rig.turn()
    rig.respond(1)
    rig.core.died(1, 2, blame=False, hung=(rig.context.lease.epoch, 1))
    rig.turn()
    assert rig.code(late) == "" and not rig.answered(behind) and Kind.VERDICT not in rig.kinds()


def test_a_delivery_of_an_epoch_that_is_over_is_nobodys_now() -> None:
    """It was fenced meanwhile, and given the lease again."""
    rig = _many()
    call = rig.call("add", key="k")
    rig.turn()
    rig.core.died(1, 0, blame=False, hung=(rig.context.lease.epoch - 1, 1))
    rig.turn()
    assert not rig.answered(call) and Kind.VERDICT not in rig.kinds()


def test_if_its_commit_is_there_a_hung_call_counts() -> None:
    rig = _many()
    call = rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    _die(rig, 1, blame=False, hung=True)
    assert rig.code(call) == "" and Kind.VERDICT not in rig.kinds()


def test_strikes_outlive_the_supervisor() -> None:
    """The record of the third death was the last thing written: the verdict follows then."""
    rig = _many()
    call = rig.call("add", key="k")
    rig.turn()
    _die(rig, 1)
    _die(rig, 1)
    primary = rig.core.primary
    assert primary is not None
    rig.core.died(primary.id, 1)
    rig.turn(whole=1)
    assert rig.kinds()[-1] is Kind.DEATH and rig.code(call) == "ReadOnly"
    again = rig.restart()
    again.ready(1)
    retry = again.call("add", key="k")
    again.turn()
    assert again.code(retry) == "Quarantined" and "call" not in again.methods(1)
    assert len(again.acted(KeepDeadLetter)) == 1


def test_the_third_strike_of_a_cast_ends_it_across_a_restart() -> None:
    rig = _many()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(cast("deadly")))
    rig.turn()
    _die(rig, 2)
    _die(rig, 1)
    again = rig.restart()
    again.ready(1)
    again.ready(2)
    again.tick()
    again.core.died(1, 1)
    again.turn()
    assert not again.context.fold.pending and not again.context.on_way
    assert again.kinds()[-2:] == [Kind.VERDICT, Kind.LEASE]
    assert [letter.op for letter in again.acted(KeepDeadLetter)] == ["deadly"]


def test_a_cast_that_hangs_leaves_pending_with_its_verdict() -> None:
    rig = _many()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(cast("hangs")))
    rig.turn()
    _die(rig, 2, blame=False, hung=True)
    assert not rig.context.fold.pending and not rig.context.live


def test_a_read_of_the_state_that_kills_is_quarantined_when_the_cell_tells() -> None:
    rig = _many()
    call = rig.call("brain.state", path=["poison"])
    rig.turn()
    for _ in range(3):
        _die(rig, 1)
    assert rig.code(call) == "Quarantined"
    assert rig.restart().context.fold.dump() == rig.context.fold.dump()


def test_a_death_that_was_not_written_is_no_strike() -> None:
    rig = _many()
    call = rig.call("add", key="k")
    rig.turn()
    primary = rig.core.primary
    assert primary is not None
    rig.core.died(primary.id, 1)
    rig.turn(whole=0)
    assert rig.code(call) == "ReadOnly" and not rig.context.fold.strikes
