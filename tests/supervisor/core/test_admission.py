"""What becomes of a call at its arrival, in the order of CORE.md section 5."""

from osupervisor.supervisor.core.key import Key
from osupervisor.supervisor.core.outbox import AnswerFromLog, KeepDeadLetter
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Memory, Rig, client, small

KEYS: tuple[Key, ...] = ("k", (client(), 1))


def _served(rig: Rig, key: Key, *, outcome: bytes = b"\xc0\x05", seen: int = 0) -> int:
    call = rig.call("add", key=key, seen=seen)
    rig.turn()
    rig.respond(rig.context.lease.n, outcome)
    rig.turn()
    assert rig.asker.answers[call] == outcome
    return call


def _rig(**bounds: int) -> Rig:
    rig = Rig(limits=small(**bounds))
    rig.ready(1)
    return rig


def test_a_copy_of_an_executed_call_gets_the_first_answer() -> None:
    rig = _rig()
    for key in KEYS:
        _served(rig, key, outcome=b"\xc0\x07")
        again = rig.call("add", key=key, seen=1)
        rig.turn()
        assert rig.asker.answers[again] == b"\xc0\x07"
    assert rig.kinds().count(Kind.COMMIT) == 2


def test_below_seen_nothing_is_answered_and_nothing_done() -> None:
    rig = _rig()
    _served(rig, (client(), 1), seen=1)
    _served(rig, (client(), 2), seen=2)
    late = rig.call("add", key=(client(), 1), seen=1)
    rig.turn()
    assert not rig.answered(late) and not rig.context.live


def test_a_copy_of_a_call_on_its_way_waits_with_it() -> None:
    rig = _rig()
    first, copy = rig.call("add", key="k"), rig.call("add", key="k")
    rig.turn()
    third = rig.call("add", key="k")
    rig.respond(1)
    fourth = rig.call("add", key="k")
    rig.turn()
    assert {rig.code(each) for each in (first, copy, third, fourth)} == {""}
    assert rig.kinds().count(Kind.COMMIT) == 1


def test_a_key_used_for_something_else_is_refused() -> None:
    rig = _rig()
    first, other = rig.call("add", 1, key="k"), rig.call("add", 2, key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    later = rig.call("sub", 1, key="k")
    rig.turn()
    assert [rig.code(each) for each in (first, other, later)] == ["", *["ProtocolError"] * 2]


def test_read_only_comes_behind_what_is_known() -> None:
    """A refusal promises that this delivery did nothing: an executed call has done something."""
    rig = _rig()
    _served(rig, "done")
    rig.break_disk()
    known, new = rig.call("add", key="done"), rig.call("add", key="new")
    rig.turn()
    assert [rig.code(each) for each in (known, new)] == ["", "ReadOnly"]


def test_overloaded_comes_behind_what_is_known_or_on_its_way() -> None:
    rig = _rig(window=1, queue_max=1)
    _served(rig, "done")
    rig.call("add", key="delivered")
    rig.turn()
    rig.call("add", key="queued")
    calls = [rig.call("add", key=key) for key in ("done", "delivered", "queued", "new")]
    rig.turn()
    assert [rig.code(call) for call in calls] == ["", "-", "-", "Overloaded"]


def test_what_no_queue_takes_is_refused_for_good() -> None:
    """As Overloaded it would be sent again and again, and never be taken."""
    rig = _rig(window=1, queue_bytes_max=100)
    rig.call("add", key="delivered")
    rig.turn()
    calls = [rig.call("add", "x" * size, key=f"{size}") for size in (10, 70, 200)]
    rig.turn()
    assert [rig.code(call) for call in calls] == ["-", "Overloaded", "InvalidArguments"]


def test_calls_without_a_key_are_executed_once_per_arrival() -> None:
    rig = _rig()
    for _ in range(2):
        rig.call("add")
    rig.turn()
    assert [each[3][1] for each in rig.take(1) if each[0] == 0] == [[7, 1], [7, 2]]


def test_a_long_outcome_is_answered_from_the_log() -> None:
    rig = _rig()
    _served(rig, "k", outcome=b"\xc0\xda\x01\x2c" + b"x" * 300)
    again = rig.call("add", key="k")
    rig.turn()
    [action] = rig.acted(AnswerFromLog)
    assert (action.waiter.message_id, action.lsn) == (again, 2)


def test_in_always_a_copy_waits_for_the_sync_like_the_first() -> None:
    rig = Rig(always=True)
    rig.ready(1)
    rig.core.synced(1)
    first = rig.call("add", key="k")
    rig.turn()
    rig.respond(1)
    rig.turn()
    copy = rig.call("add", key="k")
    rig.turn()
    assert not rig.answered(first) and not rig.answered(copy)
    rig.core.synced(2)
    rig.turn()
    assert rig.code(first) == rig.code(copy) == ""


def test_what_was_executed_is_known_behind_a_restart() -> None:
    rig = _rig()
    for key in KEYS:
        _served(rig, key)
    again = rig.restart()
    again.ready(1)
    calls = [again.call("add", key="k"), again.call("add", key=(client(), 1), seen=1)]
    again.turn()
    assert [again.code(call) for call in calls] == ["", ""]
    assert again.kinds().count(Kind.COMMIT) == 2


def test_a_forgotten_client_is_refused_and_a_new_one_served() -> None:
    rig = Rig(memory=Memory(clients_max=1))
    rig.ready(1)
    _served(rig, (client(), 1), seen=1)
    _served(rig, (client(-0.001, b"abcdefgh"), 1), seen=1)
    copy = rig.call("add", key=(client(), 1), seen=1)
    rig.turn()
    assert rig.code(copy) == "ProtocolError"
    assert rig.error(copy)["data"] == {"forgotten": True}
    _served(rig, (client(-0.002), 1), seen=1)


def test_a_client_forgotten_with_a_call_on_its_way_gets_nothing_executed_twice() -> None:
    rig = Rig(memory=Memory(clients_max=1))
    rig.ready(1)
    other = client(-0.001, b"abcdefgh")
    _served(rig, (client(), 1), seen=1)
    second = rig.call("add", key=(client(), 2), seen=1)
    rig.call("add", key=(other, 1), seen=1)
    rig.turn()
    rig.respond(2)
    rig.respond(3)
    rig.turn()
    _served(rig, (other, 2), seen=1)
    assert client() not in rig.context.fold.done.clients and rig.code(second) == ""
    third = rig.call("add", key=(client(), 3), seen=1)
    copies = [rig.call("add", key=(client(), number), seen=1) for number in (1, 2)]
    rig.turn()
    assert {rig.code(call) for call in (third, *copies)} == {"ProtocolError"}
    assert rig.kinds().count(Kind.COMMIT) == 4


def test_the_highest_number_of_a_client_that_was_forgotten_is_not_executed_twice() -> None:
    rig = Rig(memory=Memory(clients_max=1))
    rig.ready(1)
    highest, other = (client(), 2**64 - 1), client(-0.001, b"abcdefgh")
    _served(rig, highest, seen=1)
    rig.call("add", key=(other, 1), seen=1)
    on_its_way = rig.call("add", key=(client(), 2), seen=1)
    rig.turn()
    rig.respond(2)
    rig.respond(3)
    rig.turn()
    assert rig.code(on_its_way) == "" and client() in rig.context.fold.done.clients
    copy = rig.call("add", key=highest, seen=1)
    rig.turn()
    assert rig.code(copy) == "ProtocolError"
    assert rig.kinds().count(Kind.COMMIT) == 3


def test_a_query_that_was_quarantined_is_not_run_again() -> None:
    rig = Rig()
    for brain in (1, 2, 3, 4):
        rig.ready(brain)
    call = rig.call("read", key="q")
    rig.turn()
    for brain in (1, 2, 3):
        rig.core.died(brain, 1)
        rig.turn()
    again = rig.call("read", key="q")
    rig.turn()
    assert rig.code(call) == rig.code(again) == "Quarantined"
    assert len(rig.acted(KeepDeadLetter)) == 1
