"""What the tests of this folder ask and expect: frames of calls, and strategies for their parts."""

from typing import Any, cast

import msgpack  # type: ignore[import-untyped]
from hypothesis import strategies as st

from osupervisor.bridge.packing import pack

Scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.binary(max_size=40),
)
KEYS = st.one_of(st.text(max_size=8), st.binary(max_size=8), st.integers(-(2**63), 2**64 - 1))
VALUES: st.SearchStrategy[Any] = st.recursive(
    Scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=20,
)
NO_ARGS: list[object] = []
NO_KWARGS: dict[str, object] = {}
OPS = st.text(min_size=1, max_size=32)
ARGS = st.lists(VALUES, max_size=4)
KWARGS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
IDS = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
CLIENTS = st.one_of(st.binary(min_size=1, max_size=64), st.text("abc", min_size=1, max_size=64))
CALL_KEYS = st.one_of(
    st.text("klm", min_size=1, max_size=128), st.tuples(CLIENTS, st.integers(0, 2**64 - 1))
)


@st.composite
def options(draw: st.DrawFn) -> dict[str, object]:
    """Options that are allowed, as they stand in a call."""
    drawn = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "key": CALL_KEYS,
                "session": st.text("st", min_size=1, max_size=128),
                "timeout_s": st.one_of(st.integers(1, 86_400), st.floats(0.001, 86_400.0)),
                "durability": st.sampled_from(["everysec", "always"]),
            },
        )
    )
    key = drawn.get("key")
    if isinstance(key, tuple):
        number = cast("tuple[object, int]", key)[1]
        if draw(st.booleans()):
            drawn["seen"] = draw(st.integers(0, number))
    return cast("dict[str, object]", drawn)


def body(
    call_id: object = 7,
    op: object = "add",
    args: object = NO_ARGS,
    kwargs: object = NO_KWARGS,
    said: object = NO_KWARGS,
    method: object = "brain.call",
) -> bytes:
    """A frame's body, packed as any client would."""
    return pack([0, call_id, method, [op, args, kwargs, said]])


def unpacked(data: bytes) -> Any:
    """The one value in `data`."""
    return cast(Any, msgpack).unpackb(data, strict_map_key=False)


def nested(levels: int) -> object:
    """Lists in lists, `levels` deep, around nil."""
    value: object = None
    for _ in range(levels):
        value = [value]
    return value
