"""What an exchange makes of what was read is the same however the reads were cut.

A read of whole results in the service's own encoding is taken apart the short way; after a first
byte alone everything goes the long way, body by body.
"""

import struct
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import messages
from osupervisor.bridge.errors import FrameTooLargeError, RemoteProtocolError, error_map
from osupervisor.bridge.exchange import Exchange, State
from osupervisor.bridge.frames import FRAME_BYTES_MAX, frame
from osupervisor.bridge.packing import pack
from osupervisor.bridge.pending import Pending

CALLS = 12
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-40, 300),
    st.floats(allow_nan=False),
    st.text(max_size=40),
    st.binary(max_size=300),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.integers(0, 9) | st.text(max_size=3), st.none(), max_size=3),
)
NUMBERS = st.integers(0, CALLS + 2)
"""Also of the greeting, and of calls that nobody made."""


def plain(number: int, value: object) -> bytes:
    return messages.answer(number, messages.outcome_of_result(value))


def wide(number: int, value: object) -> bytes:
    body = b"\x94\x01\xcf" + number.to_bytes(8, "big") + b"\xc0" + pack(value)
    return frame(body)


def refused(number: int, value: object) -> bytes:
    code = "Overloaded" if value is None else "OpFailed"
    error = error_map(code, repr(value))
    return messages.answer(number, messages.outcome_of_error(error))


def odd(number: int, value: object) -> bytes:
    """An error that is no map."""
    return messages.answer(number, b"\x05" + pack(value))


def noticed(number: int, value: object) -> bytes:
    return messages.notification("news", [number, value])


def broken(number: int, value: object) -> bytes:
    """A result with something behind it, or with its end missing."""
    body = plain(number, value)[4:]
    return frame(body + b"\xc0" if number % 2 else body[:-1])


def misnamed(number: int, value: object) -> bytes:
    """Almost a result: of another kind, or with another count of members."""
    body = plain(number, value)[4:]
    return frame(body[:1] + b"\x02" + body[2:] if number % 2 else b"\x93" + body[1:])


def asked(number: int, value: object) -> bytes:
    return messages.request(number, "what", [value])


Make = Callable[[int, object], bytes]


def made(*kinds: Make) -> st.SearchStrategy[bytes]:
    def make(kind: Make, number: int, value: object) -> bytes:
        return kind(number, value)

    return st.builds(make, st.sampled_from(kinds), NUMBERS, VALUES)


ANSWERS = made(plain, plain, plain, messages.response, wide, refused, odd, noticed)
NONSENSE = made(broken, misnamed, asked)


def exchange() -> tuple[Exchange[Pending], list[Pending]]:
    asker = Exchange(Pending, lambda: 1.0)
    asker.connected()
    asker.receive(messages.response(0, {"now_us": 10**15}), 0.0)
    return asker, [asker.call("add", (n,), {}, 0.0) for n in range(CALLS)]


def seen_of(reads: Sequence[bytes]) -> tuple[object, ...]:
    asker, pendings = exchange()
    for pending in pendings:
        pending.waiter = pending
    woken = [pending for read in reads for pending in asker.receive(read, 0.0)]
    return (
        [(p.done, p.value if p.done else None, repr(p.error), bool(p.frame)) for p in pendings],
        sorted(pending.number for pending in woken),
        asker.count,
        asker.identity.seen,
        asker.state,
    )


@given(st.lists(ANSWERS, max_size=15), st.none() | NONSENSE, st.lists(st.integers(0, 600)))
def test_answers_are_the_same_however_the_reads_were_cut(
    frames: list[bytes], nonsense: bytes | None, cuts: list[int]
) -> None:
    stream = b"".join(frames) + (nonsense or b"")
    ends = sorted({cut for cut in cuts if cut < len(stream)} | {len(stream)})
    pieces = [stream[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    bytewise = [stream[at : at + 1] for at in range(len(stream))]
    expected = seen_of(bytewise)
    assert seen_of([stream]) == expected
    assert seen_of(pieces) == expected


@pytest.mark.parametrize("length", [0, 1, 7, 8])
def test_a_result_that_its_frame_has_no_room_for_is_nonsense(length: int) -> None:
    asker, pendings = exchange()
    behind = plain(2, None)
    asker.receive(struct.pack(">I", length) + plain(1, None)[4 : 4 + length] + behind, 0.0)
    assert asker.state is State.DOWN
    assert all(type(pending.error) is RemoteProtocolError for pending in pendings)


def test_a_frame_over_the_limit_is_refused_even_when_all_of_it_was_read() -> None:
    asker, pendings = exchange()
    value = bytes(FRAME_BYTES_MAX)
    asker.receive(plain(1, 5) + plain(2, value), 0.0)
    assert asker.state is State.DOWN
    assert pendings[0].outcome() == 5
    assert all(type(pending.error) is FrameTooLargeError for pending in pendings[1:])


def test_a_length_over_the_limit_is_refused_before_the_rest_is_there() -> None:
    asker, pendings = exchange()
    head = plain(2, None)[4:]
    asker.receive(plain(1, 5) + struct.pack(">I", FRAME_BYTES_MAX + 1) + head, 0.0)
    assert asker.state is State.DOWN
    assert pendings[0].outcome() == 5
    assert all(type(pending.error) is FrameTooLargeError for pending in pendings[1:])


def test_the_longest_frame_is_taken() -> None:
    asker, pendings = exchange()
    value = bytes(FRAME_BYTES_MAX - 13)
    asker.receive(plain(1, value), 0.0)
    assert pendings[0].outcome() == value


@pytest.mark.parametrize("length", range(9))
def test_a_frame_that_ends_before_its_result_is_nonsense(length: int) -> None:
    exchange = Exchange(Pending, lambda: 0.5)
    exchange.connected()
    exchange.receive(messages.answer(0, messages.outcome_of_result({})), 0.0)
    call = exchange.call("add", (), {}, 0.0)
    head = length.to_bytes(4, "big") + b"\x94\x01\xce" + call.number.to_bytes(4, "big") + b"\xc0"
    exchange.receive(head + bytes(4), 0.0)
    assert isinstance(call.error, RemoteProtocolError)
    assert exchange.state is State.DOWN
