"""One record's bytes and back."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.wal import record
from osupervisor.wal.errors import CorruptRecordError
from osupervisor.wal.record import (
    BODY_BYTES_MAX,
    CRC_START,
    HEADER_SIZE,
    OVERHEAD,
    Kind,
    Record,
    decode,
    decode_header,
    encode,
    unpack,
)
from tests.source import needs_source

I32, I64 = 2**31 - 1, 2**63 - 1

records = st.builds(
    Record,
    lsn=st.integers(0, I64),
    epoch=st.integers(0, I32),
    kind=st.sampled_from(Kind),
    t_us=st.integers(0, I64),
    synced=st.integers(0, I64),
    key=st.binary(max_size=40),
    request=st.binary(max_size=100),
    commit=st.binary(max_size=100),
)


def packed(one: Record) -> bytes:
    return encode(
        one.lsn, one.epoch, one.kind, one.t_us, one.synced, one.key, one.request, one.commit
    )


ONE = Record(7, 3, Kind.COMMIT, 1_700_000_000_000_000, 5, b"key", b"request", b"commit!")


@given(records, st.binary(max_size=20), st.binary(max_size=20))
def test_a_record_comes_back_as_it_was(one: Record, before: bytes, behind: bytes) -> None:
    raw = packed(one)
    for buffer in (before + raw + behind, memoryview(before + raw + behind)):
        assert decode(buffer, len(before)) == (one, len(before) + len(raw))
    assert len(raw) == OVERHEAD + len(one.key) + len(one.request) + len(one.commit)


@given(records)
def test_a_record_cut_anywhere_is_a_torn_tail(one: Record) -> None:
    raw = packed(one)
    for size in range(len(raw)):
        assert decode(raw[:size], 0) is None


@pytest.mark.parametrize("one", [ONE, Record(0, 0, Kind.CONTROL, 0, 0, b"", b"", b"")])
def test_every_flipped_bit_is_found(one: Record) -> None:
    raw = packed(one)
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptRecordError):
            decode(bytes(flipped), 0)


@given(st.lists(records, max_size=5))
def test_the_checksum_of_any_run_of_records_is_its_start(run: list[Record]) -> None:
    assert zlib.crc32(b"".join(map(packed, run)), CRC_START) == CRC_START


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_moves_the_checksum_of_its_run(
    run: list[Record], data: st.DataObject
) -> None:
    raw = bytearray(b"".join(map(packed, run)))
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert zlib.crc32(raw, CRC_START) != CRC_START


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        decode(data, 0)
    except CorruptRecordError:
        pass


def test_zeros_are_no_record() -> None:
    with pytest.raises(CorruptRecordError, match="header's checksum"):
        decode(bytes(1000), 0)


def test_an_error_says_where_and_which() -> None:
    raw = bytearray(packed(ONE))
    raw[HEADER_SIZE] ^= 1
    with pytest.raises(CorruptRecordError) as caught:
        decode(b"1234" + bytes(raw), 4)
    assert (caught.value.offset, caught.value.lsn) == (4, 7)
    assert "body's checksum" in caught.value.reason


def test_the_header_is_known_while_the_body_is_missing() -> None:
    raw = packed(ONE)
    header = decode_header(raw[:HEADER_SIZE], 0)
    assert header is not None
    assert (header.length, header.lsn, header.synced) == (len(raw), 7, 5)
    assert decode_header(raw[: HEADER_SIZE - 1], 0) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, OVERHEAD - 1),
        (0, BODY_BYTES_MAX + OVERHEAD + 1),
        (36, len(b"keyrequestcommit!") - len(b"key") + 1),
        (16, 0x0100_0000 + len(b"keyrequestcommit!") - len(b"commit!") + 1),
        (16, 0x0600_0003),
        (16, 0x0101_0003),
    ],
    ids=[
        "length too small",
        "length too large",
        "commit longer than the body",
        "key longer than the body",
        "kind unknown",
        "flags unknown",
    ],
)
def test_a_header_that_no_writer_writes_is_refused(field: int, value: int) -> None:
    raw = bytearray(packed(ONE))
    raw[field : field + 4] = value.to_bytes(4, "big")
    raw[40:44] = zlib.crc32(raw[:40], CRC_START).to_bytes(4, "little")
    with pytest.raises(CorruptRecordError, match=r"length|kind"):
        decode_header(bytes(raw), 0)


def test_a_kind_of_a_later_version_is_refused_when_it_is_unpacked() -> None:
    raw = bytearray(packed(ONE))
    raw[16] = 6
    with pytest.raises(CorruptRecordError, match="kind 6 is unknown"):
        unpack(bytes(raw))
    assert unpack(packed(ONE)) == ONE


@needs_source(record)
def test_a_body_that_is_too_large_is_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RECORD_BYTES_MAX", OVERHEAD + 10)
    encode(1, 1, Kind.COMMIT, 1, 0, b"123", b"123", b"1234")
    with pytest.raises(ValueError, match="at most"):
        encode(1, 1, Kind.COMMIT, 1, 0, b"123", b"123", b"12345")


@pytest.mark.parametrize(
    "numbers", [(I64 + 1, 1, 1, 1), (1, I32 + 1, 1, 1), (1, 1, I64 + 1, 1), (1, 1, 1, I64 + 1)]
)
def test_a_number_that_does_not_fit_is_not_encoded(numbers: tuple[int, int, int, int]) -> None:
    lsn, epoch, t_us, synced = numbers
    with pytest.raises((OverflowError, ValueError)):
        encode(lsn, epoch, Kind.COMMIT, t_us, synced, b"", b"", b"")
    with pytest.raises((OverflowError, ValueError)):
        encode(1, 1, Kind.COMMIT, 1, 0, b"k" * 2**15, b"", b"")
