"""Queries without a lease, while the log takes no records."""

from typing import Any

from osupervisor.bridge import packing
from osupervisor.bridge.port_messages import READ_ID_MIN
from osupervisor.supervisor.core.outbox import BeginCheckpoint, ForkBrain, KillBrain
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Rig, cast, effects, small

RESULT = b"\xc0\x05"


def _read_only(**bounds: int) -> Rig:
    """A service with brains 1 and 2 whose log takes no records; 1, the primary, has fenced."""
    rig = Rig(limits=small(**bounds))
    rig.ready(1)
    rig.ready(2)
    rig.break_disk()
    rig.core.fenced(1, len(rig.log))
    rig.turn()
    rig.said.clear()
    return rig


def _reads(rig: Rig) -> list[tuple[int, int, Any]]:
    """(brain, message id, params) of what followers are to read."""
    return [
        (brain, each[1], each[3])
        for brain in sorted(rig.said)
        for each in rig.take(brain)
        if each[0] == 0 and each[2] in ("read", "read_state")
    ]


def test_a_follower_answers_queries_and_reads_of_the_state() -> None:
    rig = _read_only()
    query, state = rig.call("read"), rig.call("brain.state", path=["hits"])
    rig.turn()
    asked = _reads(rig)
    assert [params for _, _, params in asked][1] == [["hits"]]
    for brain, message_id, _ in asked:
        rig.core.read_done(brain, message_id, RESULT)
    rig.turn()
    assert rig.asker.answers == {query: RESULT, state: RESULT}


def test_an_op_is_refused() -> None:
    rig = _read_only()
    call = rig.call("add", key="k")
    rig.turn()
    assert rig.code(call) == "ReadOnly"


def test_in_always_queries_wait_for_what_is_not_durable() -> None:
    rig = Rig(always=True)
    rig.ready(1)
    rig.ready(2)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    rig.break_disk()
    query = rig.call("read")
    rig.turn()
    assert not _reads(rig) and not rig.answered(query)
    rig.heal()
    assert rig.code(1) == ""


def test_reads_are_bounded_by_the_window() -> None:
    rig = _read_only(window=3, queue_max=5)
    calls = [rig.call("read") for _ in range(9)]
    rig.turn()
    assert [rig.code(call) for call in calls[5:]] == ["Overloaded"] * 4
    asked = _reads(rig)
    assert len(asked) == 3
    brain, message_id, _ = asked[0]
    rig.core.read_done(brain, message_id, RESULT)
    rig.turn()
    assert len(_reads(rig)) == 1


def test_a_query_that_a_follower_died_of_waits_for_a_lease() -> None:
    """Without a log no strike can be counted: it would kill one brain after the other."""
    rig = _read_only()
    deadly, other = rig.call("read", "deadly"), rig.call("read", "other")
    rig.turn()
    [(brain, _, _), _] = _reads(rig)
    rig.core.died(brain, 0)
    rig.turn()
    asked = _reads(rig)
    assert [packing.unpack(packing.pack(each[2]))[0][1] for each in asked] == [["other"]]
    rig.core.read_done(asked[0][0], asked[0][1], RESULT)
    rig.turn()
    assert rig.answered(other) and not rig.answered(deadly)
    rig.heal()
    assert "call" in rig.methods(asked[0][0])


def test_a_query_with_strikes_waits_for_a_lease() -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.ready(3)
    call = rig.call("read", key="q")
    rig.turn()
    rig.core.died(1, 1)
    rig.turn()
    assert rig.kinds().count(Kind.DEATH) == 1
    rig.said.clear()
    rig.break_disk()
    assert not _reads(rig)
    rig.heal()
    assert not rig.answered(call)
    assert "call" in rig.methods(3)


def test_a_query_whose_follower_takes_too_much_memory_is_not_read_by_the_next_one() -> None:
    """Nobody executes anything else there: one brain after the other would be ended for it."""
    rig = _read_only()
    large, other = rig.call("read", "large"), rig.call("read", "other")
    rig.turn()
    [(brain, _, _), _] = _reads(rig)
    rig.core.outgrew(brain, 0, 0)
    rig.turn()
    asked = _reads(rig)
    assert len(asked) == 1
    rig.core.read_done(asked[0][0], asked[0][1], RESULT)
    rig.turn()
    assert rig.code(other) == "" and not rig.answered(large)


def test_a_follower_killed_by_an_operator_leaves_its_queries_readable() -> None:
    rig = _read_only()
    call = rig.call("read")
    rig.turn()
    [(brain, _, _)] = _reads(rig)
    rig.core.died(brain, 0, blame=False)
    rig.turn()
    [(other, message_id, _)] = _reads(rig)
    rig.core.read_done(other, message_id, RESULT)
    rig.turn()
    assert other != brain and rig.answered(call)


def test_a_follower_that_hangs_in_a_read_is_killed_and_the_query_waits() -> None:
    rig = _read_only(op_timeout_us=1_000_000)
    hangs, other = rig.call("read", "hangs"), rig.call("read", "other")
    rig.turn()
    [(brain, _, _), _] = _reads(rig)
    rig.wait(1.5)
    rig.tick()
    assert not rig.acted(KillBrain)
    rig.wait(1)
    rig.tick()
    assert [action.brain for action in rig.acted(KillBrain)] == [brain]
    [(other_brain, message_id, _)] = _reads(rig)
    assert other_brain != brain
    rig.core.read_done(other_brain, message_id, RESULT)
    rig.turn()
    assert rig.answered(other) and not rig.answered(hangs)


def test_each_read_has_its_own_time() -> None:
    """The limit counts from the answer before, as a brain reads one after the other."""
    rig = _read_only(op_timeout_us=1_000_000)
    for _ in range(4):
        rig.call("read")
    rig.turn()
    for brain, message_id, _ in _reads(rig):
        rig.wait(1.5)
        rig.tick()
        rig.core.read_done(brain, message_id, RESULT)
    assert not rig.acted(KillBrain)


def test_an_answer_that_nobody_asked_for_is_dropped() -> None:
    rig = _read_only()
    rig.core.read_done(2, READ_ID_MIN + 99, RESULT)
    rig.turn()
    assert not rig.asker.answers


def _helpless() -> Rig:
    """A service whose brains do not start, with the safe brain 7."""
    rig = Rig()
    rig.core.give_up("they die")
    rig.ready(7, safe=True)
    return rig


def test_without_a_brain_that_executes_ops_and_queries_are_refused_with_the_reason() -> None:
    rig = Rig()
    waiting = [rig.call("add", key="k"), rig.call("read")]
    rig.turn()
    rig.core.give_up("they die")
    later = [rig.call("add"), rig.call("read")]
    rig.turn()
    for call in (*waiting, *later):
        assert rig.code(call) == "ReadOnly"
        assert "they die" in rig.error(call)["message"]
        assert "brain.state" in rig.error(call)["hint"]


def test_the_safe_brain_serves_reads_of_the_state_and_never_gets_the_lease() -> None:
    rig = _helpless()
    state = rig.call("brain.state", path=["hits"])
    rig.turn()
    ((brain, message_id, params),) = _reads(rig)
    assert (brain, params) == (7, [["hits"]])
    rig.core.read_done(7, message_id, RESULT)
    rig.turn()
    assert rig.asker.answers == {state: RESULT}
    assert rig.core.primary is None and rig.context.fold.epoch == 0


def test_the_safe_brain_writes_checkpoints_and_is_forked_by_nobody() -> None:
    rig = _helpless()
    rig.core.want_checkpoint()
    rig.turn()
    (begun,) = rig.acted(BeginCheckpoint)
    assert begun.brain == 7
    assert not rig.core.want_fork(8)


def test_a_brain_that_starts_after_all_ends_the_helplessness() -> None:
    rig = _helpless()
    rig.ready(8)
    call = rig.call("add", key="k")
    rig.turn()
    assert rig.core.primary is not None and rig.core.primary.id == 8
    rig.respond(1)
    rig.turn()
    assert rig.code(call) == ""
    assert rig.core.want_fork(9)
    rig.turn()
    assert [each.source for each in rig.acted(ForkBrain)] == [8]


def test_timers_wait_out_the_helplessness() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(cast("late")))
    rig.core.died(1, 0, blame=False)
    rig.turn()
    rig.core.give_up("they die")
    rig.turn()
    assert rig.context.fold.pending and not rig.context.queue
    rig.ready(2)
    assert "late" in str(rig.take(2))


def test_giving_up_while_somebody_holds_the_lease_changes_nothing() -> None:
    rig = Rig()
    rig.ready(1)
    rig.core.give_up("standbys die")
    assert not rig.context.helpless
