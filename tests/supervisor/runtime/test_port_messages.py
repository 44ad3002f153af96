"""What a brain's port brings: the quick way reads what the thorough way reads, or nothing."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import packing
from osupervisor.supervisor.core.response import Response
from osupervisor.supervisor.runtime.port import Note, read_message, read_quickly


def _uint64(value: int) -> bytes:
    return b"\xcf" + value.to_bytes(8, "big")


@given(
    n=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**32 - 1),
    outcome=st.binary(max_size=400),
    ops=st.binary(max_size=70_000) | st.binary(max_size=300),
    effects=st.just(b"\x90") | st.binary(max_size=20),
)
def test_both_ways_read_the_same(
    n: int, epoch: int, outcome: bytes, ops: bytes, effects: bytes
) -> None:
    bins = b"".join(packing.pack(part) for part in (outcome, ops, effects))
    body = b"\x94\x01" + _uint64(n) + b"\xc0\x94" + packing.pack(epoch) + bins
    read = read_message(body)
    assert read == Response(n, epoch, outcome, effects, bins)
    assert read_quickly(body) in (None, read)
    is_small = epoch < 2**16 and len(outcome) < 256 and len(ops) < 2**16
    if n < 2**63 and is_small and effects == b"\x90":
        assert read_quickly(body) == read


@given(st.binary(max_size=60), st.integers(0, 60))
def test_cut_and_strange_bodies_are_left_to_the_thorough_way(body: bytes, cut: int) -> None:
    whole = b"\x94\x01" + _uint64(7) + b"\xc0\x94\x01\xc4\x01\xc0\xc4\x01\x90\xc4\x01\x90"
    assert read_quickly(whole) is not None
    for strange in (body, whole[:cut] + body, whole + body):
        found = read_quickly(strange)
        if found is not None:
            assert found == read_message(strange)


@given(
    body=st.sampled_from(
        [
            packing.pack([1, 5, None, [3, b"\xc0\x01", b"\x90", b"\x90"]]),
            packing.pack([1, 5, None, [3, b"\xc0\x01"]]),
            packing.pack([1, 5, None, {"lsn": 1}]),
            packing.pack([2, "spawned", [1, 2]]),
        ]
    ),
    cut=st.integers(0, 40),
    at=st.integers(0, 40),
    byte=st.integers(0, 255),
)
def test_a_cut_or_changed_message_is_read_or_refused(
    body: bytes, cut: int, at: int, byte: int
) -> None:
    """Nothing else may be raised: the supervisor would end over one brain's message."""
    changed = bytearray(body[:cut])
    if at < len(changed):
        changed[at] = byte
    for strange in (body[:cut], bytes(changed)):
        with contextlib.suppress(*packing.DECODE_ERRORS):
            read_message(strange)


def test_notes_and_pongs() -> None:
    assert read_message(packing.pack([2, "fenced", [9]])) == Note("fenced", [9])
    pong = packing.pack([1, 2**63, None, {"lsn": 1}])
    assert read_message(pong) == Note("pong", [2**63, {"lsn": 1}])


@pytest.mark.parametrize("value", [{}, [3], [2, "x"], [1, 2, "error", None], [1, 2, None, [1]]])
def test_what_is_no_message_is_refused(value: object) -> None:
    with pytest.raises(packing.DECODE_ERRORS):
        read_message(packing.pack(value))
