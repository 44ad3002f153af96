"""Everything is bounded: each table, each queue, whatever clients and brains do."""

import pytest

from osupervisor.supervisor.core.outbox import ForkBrain, KillBrain
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Rig, after, cast, effects, small


def test_a_full_queue_refuses_at_once() -> None:
    rig = Rig(limits=small(queue_max=2))
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    assert [rig.code(call) for call in calls] == ["-", "-", "Overloaded"]


def test_a_queue_is_bounded_in_bytes() -> None:
    rig = Rig(limits=small(queue_bytes_max=1000))
    small_call, large = rig.call("add", "x" * 600, key="a"), rig.call("add", "x" * 600, key="b")
    rig.turn()
    assert [rig.code(each) for each in (small_call, large)] == ["-", "Overloaded"]


def test_the_window_is_bounded_in_bytes() -> None:
    """Calls of 16 MiB each must not stand in memory by the hundred, delivered or not."""
    rig = Rig(limits=small(window_bytes_max=1000))
    rig.ready(1)
    for n in range(5):
        rig.call("add", "x" * 600, key=f"k{n}")
    rig.turn()
    assert rig.methods(1).count("call") == 2
    rig.respond(1)
    rig.turn()
    assert rig.methods(1).count("call") == 1
    rig.core.died(1, 0)
    rig.ready(2)
    assert rig.methods(2).count("call") == 2


def test_one_call_larger_than_the_window_is_delivered() -> None:
    rig = Rig(limits=small(window_bytes_max=1000))
    rig.ready(1)
    rig.call("add", "x" * 5000, key="k")
    rig.turn()
    assert rig.methods(1).count("call") == 1


def test_a_slow_sync_stops_deliveries_before_memory_is_full() -> None:
    rig = Rig(ring_bytes_max=500)
    rig.ready(1)
    delivered = 0
    for n in range(1, 40):
        rig.call("add", "x" * 100, key=f"k{n}")
        rig.turn()
        if "call" not in rig.methods(1):
            break
        delivered = n
        rig.respond(n)
        rig.turn()
    assert 5 < delivered < 20
    assert rig.context.log.sync_wanted
    rig.core.synced(len(rig.log))
    rig.turn()
    assert "call" in rig.methods(1)


def test_timers_do_not_pile_up_with_each_healing() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(*(after(1000 + n) for n in range(10))))
    rig.turn()
    for _ in range(5):
        rig.break_disk()
        rig.heal()
    assert len(rig.context.timers) == len(rig.context.fold.pending) == 10


def test_copies_of_one_call_are_bounded_the_oldest_give_way() -> None:
    rig = Rig()
    copies = [rig.call("add", key="k") for _ in range(200)]
    rig.turn()
    told = [copy for copy in copies if rig.answered(copy)]
    assert told == copies[: len(told)] and len(copies) - len(told) == 64
    assert {rig.code(copy) for copy in told} == {"Unavailable"}
    rig.ready(1)
    rig.respond(1)
    rig.turn()
    assert {rig.code(copy) for copy in copies[len(told) :]} == {""}


def test_those_who_wait_for_the_disk_are_bounded() -> None:
    rig = Rig(always=True, limits=small(queue_max=10))
    rig.ready(1)
    rig.core.synced(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    rig.break_disk()
    copies = [rig.call("add", key="k") for _ in range(20)]
    rig.turn()
    assert [rig.code(copy) for copy in copies] == ["-"] * 9 + ["Unavailable"] * 11


def test_one_fork_is_wanted_at_a_time() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    for brain in (2, 3, 4):
        assert rig.core.want_fork(brain)
    rig.turn()
    rig.respond(1)
    rig.turn()
    assert len(rig.acted(ForkBrain)) == 1


def test_nobody_is_forked_from_when_nobody_is_left() -> None:
    rig = Rig()
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    assert rig.core.want_fork(2)
    rig.core.died(1, 0)
    rig.turn()
    assert not rig.core.want_fork(3)
    rig.ready(4)
    assert not rig.acted(ForkBrain)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_follower_is_forked_also_while_the_log_takes_no_records(read_only: bool) -> None:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    if read_only:
        rig.break_disk()
    assert rig.core.want_fork(3)
    rig.turn()
    assert [(each.source, each.brain) for each in rig.acted(ForkBrain)] == [(2, 3)]


def test_clients_are_refused_while_too_much_is_pending() -> None:
    rig = Rig(limits=small(pending_max=8))
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(*(after(100) for _ in range(7))))
    rig.turn()
    call, query = rig.call("add", key="l"), rig.call("read")
    rig.turn()
    assert [rig.code(each) for each in (call, query)] == ["Overloaded", "-"]


@pytest.mark.parametrize("bounds", [{"pending_max": 5}, {"pending_bytes_max": 30}])
def test_an_op_that_asks_for_more_than_may_be_pending_fails_and_is_undone(
    bounds: dict[str, int],
) -> None:
    rig = Rig(limits=small(**bounds))
    rig.ready(1)
    rig.ready(2)
    calls = [rig.call("add", key=f"k{n}") for n in range(3)]
    rig.turn()
    rig.respond(1, effects=effects(cast(), cast(), cast()))
    rig.respond(2, effects=effects(cast(), cast(), cast()))
    rig.turn()
    assert [rig.code(call) for call in calls] == ["", "OpFailed", "-"]
    assert len(rig.context.fold.pending) == 3
    assert Kind.VERDICT in rig.kinds()
    assert rig.methods(1)[-1] == "fence"
    assert rig.core.primary is not None and rig.core.primary.id == 2
    rig.core.fenced(1, 1)
    rig.respond(1)
    rig.turn()
    assert rig.code(calls[2]) == "" and not rig.acted(KillBrain)


def test_casts_are_not_starved_by_a_full_queue() -> None:
    rig = Rig(limits=small(window=2, queue_max=3))
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(cast("c"), cast("c"), cast("c"), cast("c")))
    for n in range(10):
        rig.call("add", key=f"k{n}")
    rig.turn()
    assert len(rig.context.queue) <= 3 + 2
    delivered = [each[3][2][0] for each in rig.take(1) if each[0] == 0]
    n = 1
    for _ in range(20):
        n += 1
        rig.respond(n)
        rig.call("add", key=f"again{n}")
        rig.turn()
        delivered += [each[3][2][0] for each in rig.take(1) if each[0] == 0]
    assert delivered.count("c") == 4
