"""Where an object ends, told as msgpack's decoder tells it."""

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import packing
from osupervisor.bridge.skip import OBJECTS_MAX, skip

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.sampled_from(("x" * 255, "x" * 256, "x" * 70_000, b"x" * 255, b"x" * 256, b"x" * 70_000))
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner)
)


def end_of(data: bytes, at: int) -> int | None:
    """What the decoder says; None: the object is not whole, or is none."""
    unpacker = packing.new_unpacker(len(data) + 1)
    unpacker.feed(data[at:])
    try:
        unpacker.skip()
    except packing.DECODE_ERRORS:
        return None
    return at + unpacker.tell()


@given(values, st.binary(max_size=8), st.binary(max_size=8))
def test_an_object_ends_where_the_decoder_says(value: Any, before: bytes, behind: bytes) -> None:
    data = before + packing.pack(value) + behind
    found = skip(data, len(before), len(data))
    assert found in (0, end_of(data, len(before)))
    assert found or number_of_objects(value) > OBJECTS_MAX or len(behind) < 5


PARTS: dict[type, Callable[[Any], list[Any]]] = {
    list: lambda held: [*held],
    dict: lambda held: [*held, *held.values()],
}


def number_of_objects(value: object) -> int:
    """Of a value and all in it, keys included."""
    parts = PARTS.get(type(value))
    return 1 + sum(map(number_of_objects, parts(value) if parts else ()))


@given(st.binary(max_size=60), st.integers(0, 20))
def test_any_bytes_end_where_the_decoder_says_or_nowhere(data: bytes, at: int) -> None:
    assert skip(data, at, len(data)) in (0, end_of(data, at))


@given(values, st.integers(0, 30))
def test_an_object_that_is_cut_ends_nowhere(value: Any, cut: int) -> None:
    data = packing.pack(value)
    assert skip(data, 0, max(0, len(data) - 1 - cut)) == 0


def test_what_calls_are_made_of_is_known() -> None:
    for value in (
        ["key", "x" * 100],
        {"n": 3},
        {},
        [],
        [1.5, None, True, -7, 2**40, b"ab"],
        [[1], [2]],
    ):
        data = packing.pack(value) + b"\x80\x80\x80\x80"
        assert skip(data, 0, len(data)) == len(data) - 4
