"""Brains that join, lag, or break the protocol."""

import pytest

from osupervisor.bridge import packing
from osupervisor.supervisor.core.lease import LeaseState
from osupervisor.supervisor.core.outbox import Granted, KillBrain, LoadBrain
from osupervisor.supervisor.core.response import Response
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import DONE, NO_EFFECTS, Rig, effects, small


def _two() -> Rig:
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    rig.said.clear()
    return rig


def _killed(rig: Rig) -> list[int]:
    return [action.brain for action in rig.acted(KillBrain)]


def test_the_first_brain_that_is_ready_gets_the_lease() -> None:
    rig = Rig()
    rig.ready(1)
    assert rig.kinds() == [Kind.LEASE]
    assert rig.take(1)[-1] == [2, "lease", [1, 1]]
    assert [(action.brain, action.epoch) for action in rig.acted(Granted)] == [(1, 1)]


@pytest.mark.parametrize(("lsn", "epoch"), [(9, 1), (1, 2), (1, 0), (0, 1)])
def test_a_brain_of_another_history_is_killed(lsn: int, epoch: int) -> None:
    rig = _two()
    rig.ready(3, lsn, epoch)
    assert _killed(rig) == [3]
    assert 3 not in rig.core.brains


@pytest.mark.parametrize("brain", [1, 2])
def test_a_second_ready_that_nobody_asked_for_ends_the_brain(brain: int) -> None:
    rig = _two()
    rig.ready(brain)
    assert _killed(rig) == [brain]
    assert brain not in rig.core.brains
    assert rig.core.primary is not None and rig.core.primary.id == 3 - brain


def test_a_brain_that_loads_may_say_ready_again_and_again() -> None:
    rig = Rig(ring_bytes_max=100)
    rig.ready(1)
    for number in range(3):
        rig.call("add", key=f"k{number}")
    rig.turn()
    for number in range(3):
        rig.respond(number + 1)
    rig.turn()
    rig.core.synced(len(rig.log))
    rig.ready(2, 0)
    assert [(each.brain, each.after) for each in rig.acted(LoadBrain)] == [(2, 0)]
    rig.call("add", "x" * 100, key="meanwhile")
    rig.turn()
    rig.respond(4)
    rig.turn()
    rig.core.synced(len(rig.log))
    rig.ready(2, 4)
    assert [each.after for each in rig.acted(LoadBrain)] == [0, 4]
    rig.ready(2)
    assert not _killed(rig) and rig.core.brains[2].streaming


@pytest.mark.parametrize("brain", [1, 2])
def test_an_unasked_fenced_ends_the_brain(brain: int) -> None:
    rig = _two()
    rig.core.fenced(brain, len(rig.log))
    rig.turn()
    assert _killed(rig) == [brain]


def test_fenced_at_another_lsn_than_the_last_confirmed_ends_the_brain() -> None:
    rig = _two()
    rig.break_disk()
    rig.core.fenced(1, len(rig.log) - 1)
    rig.turn()
    assert _killed(rig) == [1]


def test_a_response_that_is_not_due_ends_the_brain_and_nothing_of_it_counts() -> None:
    rig = _two()
    call = rig.call("add", key="k")
    rig.turn()
    rig.respond(2, brain=1)
    rig.respond(1, brain=1, epoch=1)
    rig.turn()
    assert _killed(rig) == [1]
    assert Kind.COMMIT not in rig.kinds()
    assert rig.core.primary is not None and rig.core.primary.id == 2
    rig.respond(1)
    rig.turn()
    assert rig.code(call) == ""


def test_a_response_of_an_older_epoch_is_dropped() -> None:
    rig = _two()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, epoch=0)
    rig.turn()
    assert not _killed(rig) and Kind.COMMIT not in rig.kinds()


def test_what_comes_behind_a_response_of_an_older_epoch_counts() -> None:
    rig = Rig()
    rig.ready(1)
    call = rig.call("add", key="k")
    rig.turn()
    commit = b"".join(packing.pack(part) for part in (DONE, b"\x90", NO_EFFECTS))
    answers = [Response(n, epoch, DONE, NO_EFFECTS, commit) for n, epoch in ((9, 0), (1, 1))]
    rig.core.responses(1, answers)
    rig.turn()
    assert rig.code(call) == "" and rig.core.primary is not None


def test_a_response_of_an_epoch_to_come_ends_the_brain() -> None:
    rig = _two()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, epoch=2)
    rig.turn()
    assert _killed(rig) == [1]


def test_what_a_follower_says_of_calls_is_dropped() -> None:
    rig = _two()
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1, brain=2)
    rig.turn()
    assert not _killed(rig) and Kind.COMMIT not in rig.kinds()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xc0",
        b"\x91",
        effects(["after", -1, "add", [], {}]),
        effects(["after", 2**64 - 1, "add", [], {}]),
        effects(["cast", "add"]),
        effects(["sing", "add", [], {}]),
    ],
)
def test_effects_that_are_none_count_as_a_death_of_the_call(nonsense: bytes) -> None:
    """Without a strike it would end one brain after the other."""
    rig = Rig()
    for brain in (1, 2, 3, 4):
        rig.ready(brain)
    call = rig.call("add", key="k")
    rig.turn()
    for death in range(3):
        assert not rig.answered(call)
        rig.respond(1, effects=nonsense)
        rig.turn()
        assert rig.kinds().count(Kind.DEATH) == death + 1
    assert rig.code(call) == "Quarantined"
    assert _killed(rig) == [1, 2, 3]


def test_a_follower_that_lags_gets_the_lease_when_it_has_caught_up() -> None:
    rig = _two()
    rig.core.lagging(2)
    rig.core.died(1, 0)
    rig.turn()
    assert rig.context.lease.state is LeaseState.VACANT
    rig.core.drained(2)
    rig.turn()
    assert rig.core.primary is not None and rig.core.primary.id == 2


def test_one_that_lags_and_catches_up_while_it_is_granted_the_lease_gets_it() -> None:
    rig = _two()
    rig.core.died(1, 0)
    rig.core.turn()
    rig.core.lagging(2)
    rig.core.drained(2)
    rig.log += rig.context.log.records()
    rig.core.written()
    rig.turn()
    assert rig.core.primary is not None and rig.core.primary.id == 2


def test_nothing_is_streamed_to_one_that_lags() -> None:
    rig = _two()
    rig.core.lagging(2)
    rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    assert rig.take(2) == []
    rig.core.drained(2)
    rig.turn()
    assert rig.methods(2) == ["record"]
    assert rig.core.brains[2].sent == len(rig.log)


def test_the_lease_goes_to_one_that_reads_nothing() -> None:
    """A query that hangs must not hang the service as soon as its disk is well again."""
    rig = Rig(limits=small(window=1))
    for brain in (1, 2, 3):
        rig.ready(brain)
    rig.break_disk()
    rig.call("read")
    rig.turn()
    rig.heal()
    assert rig.core.primary is not None and rig.core.primary.id == 3


def test_a_retired_core_grants_no_lease() -> None:
    """The brains end one after another; each that follows would be granted an epoch otherwise."""
    rig = Rig()
    rig.ready(1)
    rig.ready(2)
    before, epoch = len(rig.log), rig.context.fold.epoch
    rig.core.retire()
    rig.core.died(1, 0, blame=False)
    rig.turn()
    assert (len(rig.log), rig.context.fold.epoch) == (before, epoch)
    assert rig.core.primary is None
