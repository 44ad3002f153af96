"""The fold: the same from the first record, from any control record, and as the core keeps it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from osupervisor.bridge import packing
from osupervisor.bridge.port_messages import request_bytes
from osupervisor.supervisor.core import key as keys
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.fold import LEASES_KEPT, Fold, params_crc, split_commit
from osupervisor.supervisor.core.key import Key
from osupervisor.wal.record import Kind, Record
from tests.supervisor.core.rig import NO_EFFECTS, Memory, after, cast, client, effects

SMALL = Memory(window_us=1000, keys_max=5, clients_max=2, entries_max=4)
PARAMS = packing.pack("add") + packing.pack([1]) + b"\x80"


def _commit(outcome: bytes, asked: bytes) -> bytes:
    return b"".join(packing.pack(part) for part in (outcome, b"\x90", asked))


NAMES: list[bytes | str] = [client(), client(name=b"abcdefgh"), client(9), "other", b"short"]
client_keys: st.SearchStrategy[Key] = st.tuples(st.sampled_from(NAMES), st.integers(1, 12))
drawn_keys: st.SearchStrategy[Key] = st.one_of(
    client_keys, st.sampled_from([f"k{n}" for n in range(9)]), st.just((7, 1))
)
drawn_effects = st.sampled_from(
    [NO_EFFECTS, NO_EFFECTS, effects(cast()), effects(after(5), cast())]
)
drawn_outcomes = st.sampled_from([b"\xc0\x01", b"\xc0" + packing.pack("x" * 300)])


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """Records as a supervisor could write them: each key perhaps again and again."""
    records: list[Record] = []
    model = SMALL.fold()
    t_us = 1_700_000_000_000_000
    for lsn in range(1, draw(st.integers(0, 40)) + 1):
        t_us += draw(st.sampled_from([0, 1, 50, 900]))
        kind = draw(st.sampled_from([Kind.COMMIT] * 5 + [Kind.VERDICT, Kind.DEATH, Kind.LEASE]))
        pending: list[Key] = list(model.pending)
        of_pending = bool(pending) and draw(st.booleans())
        key = draw(st.sampled_from(pending) if of_pending else drawn_keys)
        number = key[1] if keys.is_client_key(key) else 0
        envelope = keys.encode(key, draw(st.integers(0, number)))
        request, outcome = request_bytes(PARAMS, t_us, lsn), draw(drawn_outcomes)
        epoch, commit = model.epoch, b""
        match kind:
            case Kind.COMMIT:
                commit = _commit(outcome, draw(drawn_effects))
            case Kind.VERDICT:
                commit = outcomes.as_commit(outcome)
            case Kind.LEASE:
                envelope, epoch = b"", epoch + 1
            case _:
                request = b""
        record = Record(lsn, epoch, kind, t_us, 0, envelope, request, commit)
        model.apply(record)
        records.append(record)
    return records


def _folded(records: list[Record], fold: Fold | None = None) -> Fold:
    fold = fold or SMALL.fold()
    for record in records:
        fold.apply(record)
    return fold


@settings(max_examples=200)
@given(logs(), st.data())
def test_a_prefix_dumped_restored_and_continued_is_the_fold_of_all(
    log: list[Record], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(log)))
    restored = SMALL.fold()
    restored.restore(_folded(log[:cut]).dump())
    whole = _folded(log)
    assert _folded(log[cut:], restored).dump() == whole.dump()
    assert restored.pending_bytes == whole.pending_bytes
    assert restored.done.entries == whole.done.entries
    assert restored.leases == whole.leases


@given(logs())
def test_every_table_is_bounded(log: list[Record]) -> None:
    fold = SMALL.fold()
    for record in log:
        fold.apply(record)
        done = fold.done
        assert len(done.strings) <= SMALL.keys_max
        assert len(done.clients) <= SMALL.clients_max
        assert done.entries <= SMALL.entries_max
        assert done.entries == sum(len(window.done) for window in done.clients.values())
        assert fold.pending_bytes == sum(len(each.call) for each in fold.pending.values())


@given(logs())
def test_the_epoch_of_any_record_is_told(log: list[Record]) -> None:
    fold = _folded(log)
    assert fold.epoch_at(0) == 0
    for record in log:
        assert fold.epoch_at(record.lsn) == record.epoch


def test_of_leases_the_last_thousand_are_known() -> None:
    fold = SMALL.fold()
    for lsn in range(1, LEASES_KEPT + 3):
        fold.lease(lsn, lsn, 0)
    assert fold.epoch_at(2) is None and fold.epoch_at(3) == 3


def test_a_commit_ends_a_cast_and_asks_for_the_next() -> None:
    fold = SMALL.fold()
    asked = fold.commit(1, 1, 10, "k", 0, 0, b"\xc0\xc0", effects(cast(), after(1)))
    assert [key for key, _ in asked] == [(1, 1, 0), (1, 1, 1)] == list(fold.pending)
    fold.commit(2, 1, 11, (1, 1, 0), 0, 0, b"\xc0\xc0", effects(cast()))
    assert list(fold.pending) == [(1, 1, 1), (1, 2, 0)]
    fold.verdict(3, 12, (1, 1, 1), 0, 0, b"\xc0\xc0")
    assert list(fold.pending) == [(1, 2, 0)]


def test_strikes_are_counted_until_there_is_an_outcome() -> None:
    fold = SMALL.fold()
    assert [fold.death(lsn, 0, "k") for lsn in (1, 2)] == [1, 2]
    fold.death(3, 0, (7, 1))
    fold.verdict(4, 0, "k", 0, 0, b"\xc0\xc0")
    assert fold.strikes == {(7, 1): 1}
    assert fold.death(5, 0, "k") == 1


def test_records_must_follow_each_other() -> None:
    fold = SMALL.fold()
    with pytest.raises(AssertionError):
        fold.apply(Record(2, 1, Kind.LEASE, 0, 0, b"", b"", b""))
    with pytest.raises(AssertionError):
        fold.apply(Record(1, 2, Kind.LEASE, 0, 0, b"", b"", b""))


def test_another_version_of_the_dump_is_refused() -> None:
    value: list[Any] = packing.unpack(SMALL.fold().dump())
    value[0] += 1
    with pytest.raises(ValueError, match="version"):
        SMALL.fold().restore(packing.pack(value))


def test_a_retry_is_told_by_its_parameters_not_by_its_time() -> None:
    one, other = request_bytes(PARAMS, 1, 2), request_bytes(PARAMS, 3, 4)
    assert params_crc(one) == params_crc(other) != params_crc(request_bytes(PARAMS + b"\xc0", 1, 2))


def test_a_commit_is_split_without_reading_its_operations() -> None:
    assert split_commit(_commit(b"\xc0\x05", b"\x91\x01")) == (b"\xc0\x05", b"\x91\x01")
