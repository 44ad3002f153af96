"""Control records, checkpoints, syncs that somebody waits for."""

from osupervisor.supervisor.core.outbox import BeginCheckpoint, ForkBrain
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Rig, after, cast, effects, small


def test_a_checkpoint_is_written_by_a_follower_behind_its_control_record() -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.call("add", key="k")
    rig.turn()
    rig.take(2)
    rig.core.want_checkpoint()
    rig.turn()
    assert rig.kinds()[-1] is Kind.CONTROL
    assert rig.methods(2) == ["record", "checkpoint"]
    [begun] = rig.acted(BeginCheckpoint)
    assert (begun.brain, begun.lsn) == (2, len(rig.log))
    fold = rig.memory.fold()
    fold.restore(begun.control)
    fold.count(begun.lsn, rig.now_us)
    assert fold.dump() == rig.context.fold.dump()


def test_without_a_follower_the_primary_writes_it_with_nothing_in_flight() -> None:
    rig = Rig()
    rig.ready(1)
    for n in range(3):
        rig.call("add", key=f"k{n}")
    rig.turn()
    rig.core.want_checkpoint()
    rig.turn()
    late = rig.call("add", key="late")
    for n in (1, 2):
        rig.respond(n)
        rig.turn()
    assert not rig.acted(BeginCheckpoint)
    rig.take(1)
    rig.respond(3)
    rig.turn()
    assert [each.brain for each in rig.acted(BeginCheckpoint)] == [1]
    assert rig.methods(1) == ["confirm", "checkpoint", "call"]
    rig.respond(4)
    rig.turn()
    assert rig.code(late) == ""


def test_a_checkpoint_whose_record_was_not_written_is_wanted_again() -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.core.want_checkpoint()
    rig.turn(whole=0)
    assert not rig.acted(BeginCheckpoint)
    rig.heal()
    rig.turn()
    assert len(rig.acted(BeginCheckpoint)) == 1


def test_a_control_record_is_due_by_the_bytes_since_the_last() -> None:
    rig = Rig(limits=small(control_bytes_min=1000))
    rig.ready(1)
    for n in range(1, 101):
        rig.call("add", "x" * 10, key=f"key number {n}")
        rig.turn()
        rig.respond(n)
        rig.turn()
    at = [record.lsn for record in rig.records() if record.kind is Kind.CONTROL]
    sizes = [len(data) for data in rig.log]
    assert len(at) >= 2
    for before, here in zip(at, at[1:], strict=False):
        between = sum(sizes[before : here - 1])
        assert between > max(1000, 5 * sizes[before - 1])
    assert rig.restart().context.fold.dump() == rig.context.fold.dump()


def test_the_hold_ends_with_the_primary_that_it_was_for() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.core.want_checkpoint()
    rig.core.want_fork(2)
    rig.turn()
    rig.core.died(1, 0)
    rig.turn()
    rig.ready(3)
    rig.respond(1)
    rig.turn()
    call = rig.call("add", key="l")
    rig.turn()
    rig.respond(2)
    rig.turn()
    assert rig.code(call) == ""
    assert len(rig.acted(BeginCheckpoint)) == 1


def test_a_primary_that_is_forked_has_everything_confirmed() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    assert rig.core.want_fork(2)
    rig.take(1)
    rig.turn()
    assert [each[1:] for each in rig.take(1)] == [["confirm", [1, 2]], ["spawn", [2]]]
    assert [(each.source, each.brain) for each in rig.acted(ForkBrain)] == [(1, 2)]


def test_a_sync_is_wanted_by_a_cast_that_waits_for_it() -> None:
    """In `always` a chain of casts must not go at the pace of the periodic sync."""
    rig = Rig(always=True)
    rig.ready(1)
    rig.core.synced(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(cast("next")))
    rig.turn()
    rig.core.synced(2)
    rig.turn()
    assert rig.take(1)[-1][3][2][0] == "next"
    assert not rig.context.log.sync_wanted
    rig.respond(2, effects=effects(cast("next")))
    rig.turn()
    assert rig.context.log.sync_wanted
    rig.core.synced(3)
    rig.turn()
    assert rig.take(1)[-1][3][2][0] == "next"


def test_a_call_that_wants_durability_waits_for_it_in_everysec() -> None:
    rig = Rig()
    rig.ready(1)
    rig.core.synced(1)
    plain, durable = rig.call("add", key="a"), rig.call("add", key="b", durable=True)
    query = rig.call("read", durable=True)
    rig.turn()
    rig.respond(1)
    rig.respond(2)
    rig.respond(3, query=True)
    rig.turn()
    assert [rig.code(each) for each in (plain, durable, query)] == ["", "-", "-"]
    assert rig.context.log.sync_wanted
    again = rig.call("add", key="a", durable=True)
    rig.turn()
    assert rig.code(again) == "-"
    rig.core.synced(3)
    rig.turn()
    assert [rig.code(each) for each in (durable, query, again)] == ["", "", ""]


def test_timers_are_due_by_log_time_and_in_order() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(after(2, "late"), after(1, "soon"), cast("now")))
    rig.turn()

    def delivered() -> list[str]:
        return [each[3][2][0] for each in rig.take(1) if each[0] == 0]

    assert delivered() == ["add", "now"]
    rig.wait(0.999)
    rig.tick()
    assert delivered() == []
    rig.wait(0.001)
    rig.tick()
    assert delivered() == ["soon"]
    rig.wait(1)
    rig.tick()
    assert delivered() == ["late"]
