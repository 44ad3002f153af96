"""L, d, ack, the batch, and who waits for d."""

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.core.call import Waiter
from osupervisor.supervisor.core.log_tail import UNSYNCED_FACTOR, Entry, LogTail, Parked
from osupervisor.wal.record import Kind
from tests.supervisor.core.rig import Asker


def _tail(*, always: bool = False, ring: int = 100, control: int = 1000) -> LogTail:
    return LogTail(7, always, ring, 0, [b"x", b"y"], control)


def _entry(lsn: int, record: bytes = b"record") -> Entry:
    return Entry(Kind.COMMIT, record, lsn, 1, 0, None, b"", b"")


def _parked(lsn: int) -> Parked:
    return Parked(lsn, Waiter(Asker(), lsn), b"", "op")


def test_it_begins_with_everything_durable() -> None:
    tail = _tail()
    assert (tail.last, tail.durable, tail.ack, tail.next_lsn) == (7, 7, 7, 8)
    assert tail.ring.since(6) == [b"x", b"y"]
    assert not tail.sync_wanted and not tail.is_full


def test_ack_is_what_the_mode_promises() -> None:
    for always in (False, True):
        tail = _tail(always=always)
        tail.written([b"a", b"b"])
        assert tail.ack == (7 if always else 9)
        tail.synced(8)
        assert tail.ack == (8 if always else 9)


def test_a_query_in_the_batch_has_no_number_of_its_own() -> None:
    tail = _tail()
    tail.add(_entry(8))
    tail.add(_entry(8, b""))
    tail.add(_entry(9))
    assert tail.next_lsn == 10 and tail.records() == [b"record"] * 2


@given(st.lists(st.integers(8, 20), max_size=20), st.lists(st.integers(1, 25), max_size=6))
def test_parked_answers_are_let_go_once_durable_and_all_in_the_end(
    lsns: list[int], syncs: list[int]
) -> None:
    tail = _tail()
    for lsn in lsns:
        tail.park(_parked(lsn))
    free: list[Parked] = []
    for lsn in syncs:
        before = tail.durable
        freed = tail.synced(lsn)
        assert tail.durable == max(before, lsn)
        assert all(parked.lsn <= tail.durable for parked in freed)
        free += freed
    assert tail.sync_wanted == any(lsn > tail.durable for lsn in lsns)
    free += tail.synced(20)
    assert [parked.lsn for parked in free] == lsns and not tail.parked


def test_an_older_sync_takes_nothing_back() -> None:
    tail = _tail()
    tail.written([b"a"])
    tail.synced(8)
    tail.synced(3)
    assert tail.durable == 8


def test_too_much_in_memory_wants_a_sync_and_much_more_stops_all() -> None:
    tail = _tail(ring=100)
    tail.written([bytes(101)])
    assert tail.sync_wanted and not tail.is_full
    tail.written([bytes(100 * UNSYNCED_FACTOR)])
    assert tail.is_full
    tail.synced(tail.last)
    assert not tail.sync_wanted and not tail.is_full


def test_a_control_record_is_due_behind_five_times_its_size() -> None:
    tail = _tail(control=1000)
    tail.written([bytes(1000)])
    assert not tail.control_due
    tail.written([b"x"])
    assert tail.control_due
    tail.control_written(10, 400)
    tail.written([bytes(2000)])
    assert not tail.control_due
    tail.written([b"x"])
    assert tail.control_due
    tail.control_skipped(4000)
    tail.written([bytes(20_000)])
    assert not tail.control_due
