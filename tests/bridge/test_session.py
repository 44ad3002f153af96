"""The rules for one connection, walked through state by state, and under garbage."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge import messages
from osupervisor.bridge.call import Call
from osupervisor.bridge.errors import from_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX, frame, split
from osupervisor.bridge.messages import Notification, Request, Response, parse
from osupervisor.bridge.packing import pack
from osupervisor.bridge.session import (
    CONTROL_BYTES_MAX,
    HELLO_BYTES_MAX,
    RULES,
    Refusal,
    Sent,
    Session,
    State,
)
from tests.bridge.calls import NO_ARGS, body

TOKEN = "s3cret-é"
HELLO = messages.request(1, "kernel.hello", [{"token": TOKEN}])
PING = messages.request(2, "kernel.ping", [])
CALL = frame(body(3))
SENT = {
    Sent.HELLO: [HELLO],
    Sent.BAD_HELLO: [
        messages.request(1, "kernel.hello", [{"token": TOKEN + "x"}]),
        messages.request(1, "kernel.hello", [{"token": ""}]),
        messages.request(1, "kernel.hello", [{}]),
        messages.request(1, "kernel.hello", []),
    ],
    Sent.CALL: [CALL],
    Sent.OTHER: [PING, messages.request(2, "no.such", []), messages.request(2, "brain.state", [7])],
    Sent.NONSENSE: [
        frame(b""),
        frame(b"\xc1"),
        frame(pack([1, 7, None, None])),
        frame(pack([2, "kernel.error", NO_ARGS])),
        frame(pack([0, -1, "kernel.ping", NO_ARGS])),
        (FRAME_BYTES_MAX + 1).to_bytes(4, "big"),
    ],
}


def session_in(state: State) -> Session:
    session = Session(TOKEN)
    if state is State.OPEN:
        session.receive(HELLO)
    assert session.state is state
    return session


@pytest.mark.parametrize(("state", "sent"), list(RULES))
def test_the_table_of_rules_holds(state: State, sent: Sent) -> None:
    for data in SENT[sent]:
        session = session_in(state)
        (event,) = session.receive(data)
        assert session.state is RULES[state, sent]
        assert isinstance(event, Refusal) or RULES[state, sent] is State.OPEN


def test_the_table_lists_all_that_can_be_sent_while_anything_is_read() -> None:
    assert set(RULES) == {(s, e) for s in (State.NEW, State.OPEN) for e in Sent}


def test_a_session_without_a_token_is_open() -> None:
    session = Session()
    events = session.receive(PING + CALL + HELLO)
    assert [type(event) for event in events] == [Request, Call, Request]
    assert session.state is State.OPEN


def test_a_wrong_request_is_answered_and_the_session_lives_on() -> None:
    session = Session()
    bad = frame(body(9, said={"key": 7}))
    refusal, ping = session.receive(bad + PING)
    assert isinstance(refusal, Refusal)
    answer = parse(refusal.frame[4:])
    assert isinstance(answer, Response) and answer.id == 9
    assert from_map(answer.error).code == "ProtocolError"
    assert ping == Request(2, "kernel.ping", [])


def test_nonsense_is_told_and_nothing_behind_it_is_read() -> None:
    session = Session()
    ping, refusal = session.receive(PING + frame(b"\xc1") + PING)
    assert isinstance(ping, Request) and isinstance(refusal, Refusal)
    told = parse(refusal.frame[4:])
    assert isinstance(told, Notification) and told.method == "kernel.error"
    assert session.closing
    assert session.receive(PING) == []


def test_frames_before_an_oversized_one_are_read() -> None:
    session = Session()
    ping, refusal = session.receive(PING + b"\xff\xff\xff\xff" + PING)
    assert isinstance(ping, Request) and isinstance(refusal, Refusal)
    assert session.closing


def test_a_stranger_can_send_only_little() -> None:
    session = Session(TOKEN)
    assert session.receive((HELLO_BYTES_MAX + 1).to_bytes(4, "big"))
    assert session.closing
    known = Session(TOKEN)
    known.receive(HELLO)
    assert known.receive((HELLO_BYTES_MAX + 1).to_bytes(4, "big")) == []
    assert known.pending_bytes == 4


def test_only_a_call_may_be_long() -> None:
    session = Session()
    (call,) = session.receive(frame(body(args=[bytes(CONTROL_BYTES_MAX)])))
    assert isinstance(call, Call)
    (refusal,) = session.receive(frame(pack([0, 2, "brain.state", [[bytes(CONTROL_BYTES_MAX)]]])))
    assert isinstance(refusal, Refusal)
    assert session.closing


def test_a_closed_session_reads_nothing() -> None:
    session = Session()
    session.close()
    assert session.receive(PING) == []


def test_a_brain_call_in_an_odd_form_is_never_taken_as_another_method() -> None:
    session = Session()
    (refusal,) = session.receive(frame(pack([0, 7, "brain.call", NO_ARGS])))
    assert isinstance(refusal, Refusal)
    assert session.state is State.OPEN


@given(st.lists(st.sampled_from([PING, CALL, HELLO, frame(body(5, op=""))]), max_size=6), st.data())
def test_events_do_not_depend_on_how_the_bytes_arrive(
    frames: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(frames)
    cut = data.draw(st.integers(0, len(stream)))
    whole, pieces = Session(), Session()
    assert whole.receive(stream) == pieces.receive(stream[:cut]) + pieces.receive(stream[cut:])


DEEP = b"\x91" * 1000 + b"\x90"
CALL_BEGINS = b"\x94\x00\x05\xaabrain.call\x94\xa3add\x90\x80"


@pytest.mark.parametrize("token", [None, TOKEN])
@pytest.mark.parametrize(
    "message",
    [
        DEEP,
        DEEP + b"\x00",
        b"\x94\x00" + DEEP + b"\xa1x\x90",
        b"\x94\x00\x05" + DEEP + b"\x90",
        b"\x94\x00\x05\xackernel.hello\x91" + DEEP,
        b"\x94\x00\x05\xackernel.hello\x91\x81\xa5token" + DEEP,
        CALL_BEGINS + DEEP,
        CALL_BEGINS + b"\x81\xa3key" + DEEP,
        CALL_BEGINS + b"\x81\xa7session" + DEEP,
        CALL_BEGINS + b"\x81\xa9timeout_s" + DEEP,
        CALL_BEGINS + b"\x81\xaadurability" + DEEP,
        CALL_BEGINS + b"\x82\xa3key\xa1k\xa4seen" + DEEP,
    ],
)
def test_what_is_nested_too_deep_to_be_shown_is_refused(message: bytes, token: str | None) -> None:
    (refusal,) = Session(token).receive(frame(message))
    assert isinstance(refusal, Refusal)


@pytest.mark.parametrize("token", [None, TOKEN])
def test_no_bytes_whatever_raise(token: str | None) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    stream = HELLO + PING + CALL * 3 + HELLO + PING
    for _ in range(3_000):
        data = bytearray(stream)
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        session = Session(token)
        while data:
            piece = bytes(data[: rng.randrange(1, 60)])
            del data[: len(piece)]
            for event in session.receive(piece):
                if isinstance(event, Refusal):
                    assert split(event.frame)[1] == len(event.frame)
