"""Messages: encoders give frames that decoders take apart again; garbage raises one error only."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import messages
from osupervisor.bridge.errors import LocalProtocolError, RemoteProtocolError, error_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX, PORT_FRAME_BYTES_MAX, split
from osupervisor.bridge.messages import Notification, Request, Response, parse
from osupervisor.bridge.packing import pack
from tests.bridge.calls import IDS, KEYS, VALUES, Scalars

METHODS = st.text(min_size=1, max_size=32)
PARAMS = st.lists(VALUES, max_size=4)


def body_of(frame: bytes) -> bytes:
    bodies, offset = split(frame)
    assert offset == len(frame)
    (body,) = bodies
    return body


@given(IDS, METHODS, PARAMS)
def test_a_request_round_trips(request_id: int, method: str, params: list[object]) -> None:
    frame = messages.request(request_id, method, params)
    assert parse(body_of(frame)) == Request(request_id, method, params)


@given(IDS, VALUES)
def test_a_response_round_trips(request_id: int, result: object) -> None:
    frame = messages.response(request_id, result)
    assert parse(body_of(frame)) == Response(request_id, None, result)


@given(IDS, st.text(max_size=9), st.dictionaries(st.text(max_size=5), Scalars, max_size=3))
def test_a_failure_round_trips(request_id: int, text: str, data: dict[str, object]) -> None:
    error = error_map("OpFailed", text, "hint", data)
    frame = messages.failure(request_id, error)
    assert parse(body_of(frame)) == Response(request_id, error, None)


@given(METHODS, PARAMS)
def test_a_notification_round_trips(method: str, params: list[object]) -> None:
    frame = messages.notification(method, params)
    assert parse(body_of(frame)) == Notification(method, params)


@given(IDS, VALUES)
def test_an_answer_is_the_response_that_its_outcome_says(request_id: int, result: object) -> None:
    outcome = messages.outcome_of_result(result)
    assert messages.read_outcome(outcome) == (None, result)
    assert parse(body_of(messages.answer(request_id, outcome))) == Response(
        request_id, None, result
    )
    error = error_map("OpFailed", "m", "h", {"type": "ValueError"})
    outcome = messages.outcome_of_error(error)
    assert messages.read_outcome(outcome) == (error, None)
    assert parse(body_of(messages.answer(request_id, outcome))) == Response(request_id, error, None)


@pytest.mark.parametrize(
    ("request_id", "head"),
    [
        (0, b"\x94\x01\xce\x00\x00\x00\x00"),
        (2**32 - 1, b"\x94\x01\xce\xff\xff\xff\xff"),
        (2**32, b"\x94\x01\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        (2**64 - 1, b"\x94\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
    ],
)
def test_an_answer_is_spliced_from_bytes(request_id: int, head: bytes) -> None:
    assert messages.answer(request_id, b"\xc0\x07")[4:] == head + b"\xc0\x07"


def test_an_outcome_that_is_not_two_values_is_refused() -> None:
    for outcome in (b"", b"\xc0", b"\xc0\xc0\xc0", b"\xc0\xc1", b"\xc0\x91"):
        with pytest.raises(RemoteProtocolError):
            messages.read_outcome(outcome)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "text",
        [],
        {},
        [0, 7, "m"],
        [1, 7, None],
        [2, "m"],
        [2, "m", [], 1],
        [3, 7, "m", []],
        [-1, 7, "m", []],
        [True, 7, None, None],
        [0.0, 7, "m", []],
        ["0", 7, "m", []],
        [0, -1, "m", []],
        [0, None, "m", []],
        [0, True, "m", []],
        [1, "7", None, None],
        [0, 7, "", []],
        [0, 7, "m" * 129, []],
        [0, 7, b"m", []],
        [0, 7, "m", {}],
        [0, 7, "m", None],
        [2, "m", None],
        [2, 7, []],
    ],
)
def test_what_is_no_message_is_refused(value: object) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(pack(value))
    assert caught.value.hint


def test_an_error_knows_the_request_once_its_id_could_be_read() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(pack([0, 2**64 - 1, "m", None]))
    assert caught.value.request_id == 2**64 - 1


@given(st.binary(max_size=80))
def test_garbage_is_refused(data: bytes) -> None:
    for garbage in (data, b"\x94\x00\x07" + data, b"\x94\x01\x07" + data, b"\x93\x02" + data):
        try:
            found = parse(garbage)
        except RemoteProtocolError:
            continue
        assert isinstance(found, Request | Response | Notification)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_maps_may_have_any_scalar_as_a_key(value: dict[object, object]) -> None:
    assert parse(pack([1, 7, None, value])) == Response(7, None, value)


def test_a_map_with_a_list_as_a_key_is_refused() -> None:
    with pytest.raises(RemoteProtocolError):
        parse(b"\x94\x01\x07\xc0\x81\x90\x00")


@pytest.mark.parametrize(
    "head", [b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff"]
)
def test_a_length_that_is_not_there_allocates_nothing(head: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            parse(b"\x94\x01\x07\xc0" + head + b"\xff\xff\xff" + bytes(1000))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_what_is_over_the_limit_is_not_sent() -> None:
    blob = bytes(FRAME_BYTES_MAX)
    with pytest.raises(LocalProtocolError):
        messages.request(1, "m", [blob])
    with pytest.raises(LocalProtocolError):
        messages.response(1, blob)
    with pytest.raises(LocalProtocolError):
        messages.notification("record", [blob])
    assert messages.notification("record", [blob], PORT_FRAME_BYTES_MAX)
