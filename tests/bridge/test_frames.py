"""Frames: cut anywhere, in any pieces, over the limit, and never more memory than was sent."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge.errors import FrameTooLargeError, LocalProtocolError
from osupervisor.bridge.frames import FRAME_BYTES_MAX, FrameDecoder, frame, split

BODIES = st.lists(st.binary(max_size=40), max_size=8)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


def test_a_frame_is_its_length_and_its_body() -> None:
    assert frame(b"abc") == b"\x00\x00\x00\x03abc"
    assert frame(b"") == b"\x00\x00\x00\x00"


@given(BODIES, st.lists(st.integers(0, 400), max_size=12))
def test_bodies_come_out_whatever_the_pieces(bodies: list[bytes], cuts: list[int]) -> None:
    decoder = FrameDecoder()
    found: list[bytes] = []
    for piece in pieces(b"".join(map(frame, bodies)), cuts):
        found += decoder.feed(piece)
    assert found == bodies
    assert decoder.pending_bytes == 0


@given(BODIES, st.integers(0, 400))
def test_split_says_where_the_cut_frame_begins(bodies: list[bytes], size: int) -> None:
    data = b"".join(map(frame, bodies))[:size]
    whole, offset = split(data)
    assert whole == bodies[: len(whole)]
    assert b"".join(map(frame, whole)) == data[:offset]
    assert split(data[offset:]) == ([], 0)


def test_every_kind_of_buffer_is_taken_and_bodies_are_bytes() -> None:
    decoder = FrameDecoder()
    data = frame(b"abc")
    assert decoder.feed(bytearray(data[:5])) == []
    assert decoder.feed(memoryview(data)[5:]) == [b"abc"]
    assert [type(body) for body in decoder.feed(memoryview(data))] == [bytes]


@pytest.mark.parametrize("announced", [17, 2**31, 2**32 - 1])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_a_length_over_the_limit_is_refused_at_its_fourth_byte(announced: int, step: int) -> None:
    decoder = FrameDecoder(16)
    data = frame(b"a" * 16) + announced.to_bytes(4, "big")
    found: list[bytes] = []
    with pytest.raises(FrameTooLargeError) as caught:
        for start in range(0, len(data), step):
            found += decoder.feed(data[start : start + step])
    assert found + list(caught.value.frames) == [b"a" * 16]
    assert (caught.value.found_bytes, caught.value.bytes_max) == (announced, 16)


def test_a_whole_frame_over_the_limit_is_refused_too() -> None:
    with pytest.raises(FrameTooLargeError):
        FrameDecoder(16).feed(frame(b"a" * 17) + frame(b"b"))


def test_nothing_is_read_behind_a_length_over_the_limit() -> None:
    decoder = FrameDecoder(16)
    for data in (frame(b"a" * 17), frame(b"b")):
        with pytest.raises(FrameTooLargeError) as caught:
            decoder.feed(data)
        assert caught.value.frames == ()


def test_a_body_over_the_limit_is_not_sent() -> None:
    assert len(frame(bytes(FRAME_BYTES_MAX))) == FRAME_BYTES_MAX + 4
    with pytest.raises(LocalProtocolError, match="store it elsewhere"):
        frame(bytes(FRAME_BYTES_MAX + 1))


def peak_bytes(pieces: list[bytes]) -> int:
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        for piece in pieces:
            decoder.feed(piece)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_announced_length_allocates_nothing() -> None:
    assert peak_bytes([FRAME_BYTES_MAX.to_bytes(4, "big"), b"a" * 100]) < 10_000


def test_a_frame_that_comes_in_tiny_pieces_takes_about_its_size() -> None:
    size = 300_000
    data = frame(bytes(size))
    assert peak_bytes([data[at : at + 2] for at in range(0, size - 2, 2)]) < 1.2 * size
    assert peak_bytes([data[:-1], data[-1:]]) < 2.3 * size


def test_a_long_frame_in_pieces_takes_time_in_proportion_to_its_length() -> None:
    """Copies are counted, not seconds: each byte is held once until its frame is whole."""
    decoder = FrameDecoder()
    data = frame(bytes(FRAME_BYTES_MAX))
    found: list[bytes] = []
    for at in range(0, len(data), 65_536):
        found = decoder.feed(data[at : at + 65_536])
        assert decoder.pending_bytes in (0, at + 65_536)
    assert [len(body) for body in found] == [FRAME_BYTES_MAX]
