"""`Timeout` for those who wait too long; what hangs is judged in test_deaths."""

from osupervisor.supervisor.core.lease import LeaseState
from tests.supervisor.core.rig import Rig, after, effects, small


def test_a_call_without_a_brain_waits_as_long_as_it_may() -> None:
    rig = Rig(limits=small(wait_timeout_us=2_000_000))
    short, long = rig.call("add", key="a", timeout_s=1), rig.call("add", key="b")
    rig.wait(1)
    rig.tick()
    assert not rig.asker.answers
    rig.wait(0.001)
    rig.tick()
    assert rig.code(short) == "Timeout" and rig.code(long) == "-"
    assert rig.error(short)["data"] == {"delivered": False, "final": False}
    rig.wait(1)
    rig.tick()
    assert rig.code(long) == "Timeout"
    assert not rig.context.live and not rig.context.queue


def test_each_copy_of_a_call_has_its_own_time() -> None:
    rig = Rig()
    first = rig.call("add", key="k", timeout_s=1)
    rig.wait(0.5)
    same, shorter, longer = (rig.call("add", key="k", timeout_s=s) for s in (1, 0.1, 5))
    rig.wait(0.2)
    rig.tick()
    assert [rig.code(each) for each in (first, same, shorter, longer)] == ["-", "-", "Timeout", "-"]
    rig.wait(0.4)
    rig.tick()
    assert [rig.code(each) for each in (first, same, longer)] == ["Timeout", "-", "-"]
    rig.wait(1)
    rig.tick()
    assert [rig.code(each) for each in (same, longer)] == ["Timeout", "-"]
    rig.ready(1)
    rig.respond(1)
    rig.turn()
    assert rig.code(longer) == ""


def test_what_executes_is_bounded_by_its_own_limit_alone() -> None:
    rig = Rig(limits=small(wait_timeout_us=1_000_000))
    rig.ready(1)
    executing, behind = rig.call("add", key="a"), rig.call("add", key="b")
    rig.turn()
    rig.wait(2)
    rig.tick(executing=1)
    assert [rig.code(each) for each in (executing, behind)] == ["-", "Timeout"]
    assert rig.error(behind)["data"] == {"delivered": True, "final": False}
    rig.respond(1)
    rig.respond(2)
    rig.turn()
    again = rig.call("add", key="b")
    rig.turn()
    assert rig.code(executing) == "" and rig.code(again) == ""


def test_who_waits_for_the_disk_waits_no_longer_than_for_anything_else() -> None:
    rig = Rig(always=True, limits=small(wait_timeout_us=3_000_000))
    rig.ready(1)
    rig.core.synced(1)
    call = rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    rig.break_disk()
    rig.wait(1)
    copy = rig.call("add", key="k", timeout_s=1)
    rig.turn()
    rig.wait(1.5)
    rig.tick()
    assert [rig.code(each) for each in (call, copy)] == ["-", "Timeout"]
    rig.wait(1)
    rig.tick()
    assert rig.code(call) == "Timeout" and not rig.error(call)["data"]["final"]
    rig.heal()
    again = rig.call("add", key="k")
    rig.turn()
    assert rig.code(again) == ""


def test_a_query_that_nobody_waits_for_is_not_run_again() -> None:
    """One that ends its brain when nothing is to be blamed would do so for ever."""
    rig = Rig(limits=small(wait_timeout_us=1_000_000))
    rig.ready(1)
    rig.ready(2)
    rig.call("brain.state", path=[])
    rig.turn()
    rig.wait(2)
    rig.tick()
    rig.core.died(1, 0)
    rig.turn()
    assert rig.context.lease.state is LeaseState.HELD
    assert "state" not in rig.methods(2)
    assert not rig.context.live


def test_a_query_put_back_that_nobody_waits_for_any_more_is_dropped() -> None:
    rig = Rig(limits=small(wait_timeout_us=1_000_000))
    rig.ready(1)
    rig.call("read")
    rig.turn()
    rig.core.died(1, 0)
    rig.turn()
    rig.wait(2)
    rig.tick()
    assert not rig.context.live and not rig.context.queue


def test_an_op_that_may_have_taken_effect_goes_on_without_waiters() -> None:
    rig = Rig(limits=small(wait_timeout_us=1_000_000))
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.core.died(1, 0)
    rig.turn()
    rig.wait(2)
    rig.tick()
    rig.ready(2)
    assert "call" in rig.methods(2)


def test_casts_and_timers_wait_for_ever() -> None:
    rig = Rig(limits=small(wait_timeout_us=1_000_000))
    rig.ready(1)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, effects=effects(after(0)))
    rig.turn()
    rig.core.died(1, 0)
    rig.turn()
    rig.wait(100)
    rig.tick()
    rig.ready(2)
    assert rig.methods(2).count("call") == 1
