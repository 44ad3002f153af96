"""The exchange's rules one by one: deadlines, pauses, greetings, what is sent again, what not."""

from typing import cast

import pytest

from osupervisor.bridge import messages
from osupervisor.bridge.call import Call, parse_call
from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.errors import (
    BridgeError,
    LocalProtocolError,
    NotRunningError,
    OpFailed,
    Overloaded,
    ProtocolError,
    RemoteProtocolError,
    Timeout,
    Unavailable,
)
from osupervisor.bridge.exchange import (
    CONNECT_PAUSE_S,
    CONNECT_TIMEOUT_S,
    DEADLINE_S,
    GRACE_S,
    RETRY_PAUSE_S,
    Exchange,
    State,
)
from osupervisor.bridge.frames import split
from osupervisor.bridge.identity import RENEW_S
from osupervisor.bridge.messages import Request, parse
from osupervisor.bridge.pending import Pending

NEVER = float("inf")
SERVICE_US = 1_000_000_000_000_000


def exchange(
    *, up: bool = True, token: str | None = None, retries: bool = True
) -> Exchange[Pending]:
    made = Exchange(Pending, lambda: 1.0, token=token, retries=retries)
    if up:
        connect(made)
    return made


def connect(asker: Exchange[Pending], now: float = 0.0, service_us: int = SERVICE_US) -> None:
    """A connection is made, and the service greets."""
    asker.connected()
    asker.out.clear()
    asker.receive(messages.response(0, {"now_us": service_us}), now)


def ask(asker: Exchange[Pending], now: float = 0.0, options: CallOptions | None = None) -> Pending:
    return asker.call("add", ("hits",), {"n": 1}, now, options)


def written(asker: Exchange[Pending]) -> list[bytes]:
    bodies = split(b"".join(asker.out))[0]
    asker.out.clear()
    return bodies


def calls(asker: Exchange[Pending]) -> list[Call]:
    return [cast(Call, parse_call(body)) for body in written(asker)]


def error_of(pending: Pending) -> BridgeError:
    assert pending.error is not None
    with pytest.raises(type(pending.error)):
        pending.outcome()
    return pending.error


def refuse(number: int, kind: type[Overloaded] | type[Unavailable] = Overloaded) -> bytes:
    return messages.failure(number, kind("not now").to_map())


def test_calls_are_numbered_and_say_what_has_been_seen() -> None:
    asker = exchange()
    client = asker.identity.client
    for _ in range(3):
        ask(asker)
    assert [(call.id, call.key, call.seen) for call in calls(asker)] == [
        (1, (client, 1), 1),
        (2, (client, 2), 1),
        (3, (client, 3), 1),
    ]
    asker.receive(messages.response(2, 5) + messages.response(1, 4), 0.0)
    ask(asker)
    assert [call.seen for call in calls(asker)] == [3]


def test_an_answer_is_the_outcome() -> None:
    asker = exchange()
    first, second = ask(asker), ask(asker)
    second.waiter = "somebody"
    assert asker.receive(messages.response(1, [7]), 0.0) == []
    failed = OpFailed("boom", data={"type": "ValueError"})
    assert asker.receive(messages.failure(2, failed.to_map()), 0.0) == [second]
    assert first.outcome() == [7]
    assert cast(OpFailed, error_of(second)).to_map() == failed.to_map()
    assert asker.count == 0


def test_an_answer_that_nobody_waits_for_is_dropped() -> None:
    asker = exchange()
    pending = ask(asker)
    asker.abandon(pending)
    asker.abandon(pending)
    assert asker.receive(messages.response(1, 7) + messages.response(99, 7), 0.0) == []
    assert not pending.done
    assert asker.identity.seen == 2


def test_a_call_that_cannot_be_packed_takes_no_number() -> None:
    asker = exchange()
    with pytest.raises(LocalProtocolError, match="can't be packed"):
        asker.call("add", (object(),), {}, 0.0)
    for op in ("", "a" * 129, "\ud800", cast(str, 7), cast(str, ["add"]), cast(str, None)):
        for options in (None, CallOptions(session="s")):
            with pytest.raises(LocalProtocolError, match="wanted a string"):
                asker.call(op, (), {}, 0.0, options)
    with pytest.raises(LocalProtocolError, match="16777216"):
        asker.call("add", (bytes(17_000_000),), {}, 0.0)
    with pytest.raises(LocalProtocolError):
        asker.request("m", [bytes(17_000_000)], 0.0, 1.0)
    assert ask(asker).number == 1


def test_every_unanswered_call_is_sent_again_in_order_and_in_the_same_bytes() -> None:
    asker = exchange()
    frames = [ask(asker).frame for _ in range(5)]
    asker.receive(messages.response(2, None), 0.0)
    asker.lost(0.0)
    late = ask(asker)
    assert asker.out == []
    connect(asker)
    assert asker.out == [*frames[:1], *frames[2:], late.frame]


def name_of(frame: bytes) -> bytes:
    call = parse_call(frame[4:])
    assert call is not None and isinstance(call.key, tuple) and isinstance(call.key[0], bytes)
    return call.key[0]


def time_of(frame: bytes) -> int:
    return int.from_bytes(name_of(frame)[:8], "big")


def test_names_are_of_the_services_time() -> None:
    asker = exchange(up=False)
    early = ask(asker)
    own = asker.call("add", (), {}, 0.0, CallOptions(key=("c" * 16, 2)))
    keyless = asker.call("load", (), {}, 0.0, CallOptions(keyless=True))
    connect(asker, 3.0)
    assert time_of(early.frame) == SERVICE_US
    assert asker.out == [early.frame, own.frame, keyless.frame]
    assert b"c" * 16 in own.frame
    later = ask(asker, 3.0 + RENEW_S)
    assert time_of(later.frame) == SERVICE_US + int(RENEW_S * 1e6)
    assert name_of(ask(asker, 4.0 + RENEW_S).frame) == name_of(later.frame)


def test_a_name_outlives_a_connection_unless_the_services_clock_jumped() -> None:
    asker = exchange()
    first = name_of(ask(asker).frame)
    asker.lost(5.0)
    connect(asker, 5.0, SERVICE_US + 5_000_000)
    assert name_of(ask(asker, 5.0).frame) == first
    asker.lost(6.0)
    connect(asker, 6.0, SERVICE_US // 2)
    assert time_of(ask(asker, 6.0).frame) == SERVICE_US // 2


def test_a_service_that_does_not_tell_its_time_gets_names_of_ours() -> None:
    asker = exchange(up=False)
    pending = ask(asker)
    frame = pending.frame
    results: list[object] = [{}, None, [], {"now_us": "late"}]
    for result in results:
        asker.connected()
        asker.receive(messages.response(0, result), 0.0)
        assert pending.frame == frame and asker.state.value == "up"
        asker.lost(0.0)


FORGOTTEN = ProtocolError("silent for too long", data={"forgotten": True}).to_map()


def test_a_forgotten_name_is_replaced_when_the_call_cannot_have_been_done() -> None:
    asker = exchange()
    first, second = ask(asker), ask(asker, options=CallOptions(session="s", durability="always"))
    before, name = calls(asker), name_of(first.frame)
    failures = messages.failure(1, FORGOTTEN) + messages.failure(2, FORGOTTEN)
    assert asker.receive(failures, 7.0) == []
    again = calls(asker)
    for call, former in zip(again, before, strict=True):
        former.key = call.key
        assert call == former
    assert name_of(first.frame) != name
    assert time_of(second.frame) == SERVICE_US + 7_000_000
    assert asker.receive(messages.failure(1, FORGOTTEN), 7.0) == []
    assert asker.out == [] and asker.next_at() > 7.0
    asker.tick(7.0 + RETRY_PAUSE_S[0])
    assert asker.out == [first.frame]
    assert asker.receive(messages.failure(1, FORGOTTEN), DEADLINE_S - 0.01) == [first]
    assert isinstance(error_of(first), ProtocolError)


def test_a_forgotten_name_is_final_when_the_call_may_have_been_done() -> None:
    asker = exchange()
    pending = ask(asker)
    asker.lost(0.0)
    connect(asker)
    assert asker.receive(messages.failure(1, FORGOTTEN), 0.0) == [pending]
    assert isinstance(error_of(pending), ProtocolError)


def test_a_forgotten_key_of_the_caller_is_final() -> None:
    asker = exchange()
    pending = asker.call("add", (), {}, 0.0, CallOptions(key=("name", 7)))
    assert asker.receive(messages.failure(1, FORGOTTEN), 0.0) == [pending]
    assert isinstance(error_of(pending), ProtocolError)


def test_a_refused_call_is_sent_again_after_pauses_that_double() -> None:
    asker = exchange()
    pending = ask(asker)
    first, longest = RETRY_PAUSE_S
    now = 0.0
    for attempt in range(12):
        written(asker)
        assert asker.receive(refuse(1), now) == []
        pause = min(longest, first * 2**attempt)
        assert asker.next_at() == pytest.approx(now + pause)  # pyright: ignore
        asker.tick(now + pause - 0.001)
        assert asker.out == []
        now += pause
        asker.tick(now)
        assert asker.out == [pending.frame]
    asker.receive(messages.response(1, 7), now)
    assert pending.outcome() == 7


def test_a_refused_call_waits_for_its_pause_also_when_the_connection_breaks() -> None:
    asker = exchange()
    refused, other = ask(asker), ask(asker)
    asker.receive(refuse(1), 0.0)
    asker.lost(0.0)
    connect(asker)
    assert asker.out == [other.frame]
    asker.out.clear()
    asker.lost(0.0)
    asker.tick(5.0)
    connect(asker)
    assert asker.out == [refused.frame, other.frame]


def test_at_its_deadline_a_refused_call_fails_with_the_refusal() -> None:
    asker = exchange()
    pending = ask(asker, options=CallOptions(timeout_s=0.015))
    assert asker.receive(refuse(1), 0.0) == []
    asker.tick(0.01)
    assert asker.receive(refuse(1, Unavailable), 0.01) == [pending]
    assert isinstance(error_of(pending), Unavailable)


def test_without_retries_a_refusal_is_final() -> None:
    asker = exchange(retries=False)
    pending = ask(asker)
    assert asker.receive(refuse(1), 0.0) == [pending]
    assert isinstance(error_of(pending), Overloaded)


@pytest.mark.parametrize("timeout_s", [None, 2.0])
def test_a_call_without_an_answer_times_out_after_a_grace(timeout_s: float | None) -> None:
    asker = exchange()
    pending = ask(asker, 100.0, CallOptions(timeout_s=timeout_s) if timeout_s else None)
    deadline = 100.0 + (timeout_s or DEADLINE_S)
    assert asker.next_at() == deadline
    assert asker.tick(deadline) == []
    assert asker.next_at() == deadline + GRACE_S
    assert asker.tick(deadline + GRACE_S) == [pending]
    error = cast(Timeout, error_of(pending))
    assert error.data == {"where": "client", "sent": True} and "add() was not answered" in str(
        error
    )
    assert asker.next_at() == NEVER
    assert asker.identity.seen == 2


def test_a_call_that_was_never_sent_has_not_been_done() -> None:
    asker = exchange(up=False)
    pending = ask(asker, options=CallOptions(timeout_s=2.0))
    asker.connect_at = 3.0
    assert asker.next_at() == 2.0
    assert asker.tick(2.0) == [pending]
    assert isinstance(error_of(pending), NotRunningError)


def test_a_call_that_waits_for_a_greeting_has_not_been_done() -> None:
    asker = exchange(up=False)
    pending = ask(asker, options=CallOptions(timeout_s=2.0))
    asker.connected()
    assert asker.tick(2.0) == [pending]
    error = cast(Timeout, error_of(pending))
    assert error.data == {"where": "client", "sent": False} and "nothing was done" in str(error)


def test_a_first_connection_is_tried_for_a_while() -> None:
    asker = exchange(up=False)
    pending = ask(asker)
    assert asker.next_at() == 0.0
    first, longest = CONNECT_PAUSE_S
    now, pauses = 0.0, list[float]()
    while not pending.done:
        asker.refused(now, FileNotFoundError("no socket"))
        if not pending.done:
            pauses.append(asker.connect_at - now)
            now = asker.connect_at
    assert pauses[:3] == pytest.approx([first, 2 * first, 4 * first])  # pyright: ignore
    assert max(pauses) == pytest.approx(longest)  # pyright: ignore
    assert CONNECT_TIMEOUT_S <= now <= CONNECT_TIMEOUT_S + longest
    assert "no socket" in str(error_of(pending))


def test_a_service_that_was_there_is_waited_for_until_the_deadline() -> None:
    asker = exchange()
    pending = ask(asker)
    asker.lost(0.0)
    for second in range(int(DEADLINE_S)):
        assert asker.refused(float(second), ConnectionRefusedError()) == []
    assert not pending.done


def test_a_connection_that_worked_is_made_again_at_once_and_one_that_did_not_after_a_pause() -> (
    None
):
    asker = exchange()
    ask(asker)
    asker.receive(messages.response(1, 7), 0.0)
    asker.lost(10.0)
    assert asker.connect_at == 10.0
    for _ in range(3):
        connect(asker)
        before = asker.connect_at
        asker.lost(10.0)
        assert asker.connect_at > before


def test_what_must_not_be_repeated_fails_when_its_connection_breaks() -> None:
    asker = exchange()
    stop = asker.request("system.stop", [], 0.0, 9.0)
    status = asker.request("system.status", [], 0.0, 9.0)
    call = ask(asker)
    assert asker.lost(1.0) == [stop]
    assert isinstance(error_of(stop), Unavailable)
    connect(asker)
    assert asker.out == [status.frame, call.frame]


def test_what_must_not_be_repeated_waits_while_it_was_not_sent() -> None:
    asker = exchange(up=False)
    stop = asker.request("system.stop", [], 0.0, 9.0)
    assert asker.refused(0.0, ConnectionRefusedError()) == []
    assert asker.lost(0.0) == []
    connect(asker)
    assert asker.out == [stop.frame]
    assert asker.receive(messages.response(1, {}), 0.0) == [] and stop.outcome() == {}
    assert asker.lost(0.0) == []


def test_with_a_token_nothing_is_sent_before_the_service_has_greeted() -> None:
    asker = exchange(up=False, token="t")
    pending = ask(asker)
    asker.connected()
    assert asker.state.value == "greeting"
    late = ask(asker)
    (body,) = written(asker)
    assert parse(body) == Request(0, "kernel.hello", [{"token": "t", "protocol": 1}])
    asker.receive(messages.response(0, {"service": "osupervisor"}), 0.0)
    assert asker.state.value == "up"
    assert asker.out == [pending.frame, late.frame]


def test_a_wrong_token_fails_what_was_asked() -> None:
    asker = exchange(up=False, token="t")
    pending = ask(asker)
    asker.connected()
    refused = ProtocolError("the token is wrong").to_map()
    assert asker.receive(messages.failure(0, refused), 0.0) == [pending]
    assert isinstance(error_of(pending), ProtocolError)


def test_an_error_about_the_connection_fails_what_was_asked() -> None:
    asker = exchange()
    pending = ask(asker)
    told = messages.notification("kernel.error", [ProtocolError("nonsense").to_map()])
    assert asker.receive(told, 0.0) == [pending]
    assert isinstance(error_of(pending), ProtocolError)


def test_notifications_of_a_newer_service_are_ignored() -> None:
    asker = exchange()
    pending = ask(asker)
    assert asker.receive(messages.notification("kernel.news", [1]), 0.0) == []
    assert not pending.done


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\xc1",
        b"\x00\x00\x00\x01\xc0",
        b"\xff\xff\xff\xff",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        messages.request(1, "kernel.ping", []),
        messages.request(9, "kernel.ping", []),
    ],
)
def test_nonsense_from_the_service_is_its_fault_and_fails_what_was_asked(data: bytes) -> None:
    asker = exchange()
    pending = ask(asker)
    answered = ask(asker)
    answered.waiter = "somebody"
    assert asker.receive(messages.response(2, 7) + data, 0.0) == [answered, pending]
    assert answered.outcome() == 7
    assert isinstance(error_of(pending), RemoteProtocolError)
    assert asker.state is State.DOWN and asker.connect_at > 0.0


def test_nothing_is_left_behind_by_a_thousand_calls_of_all_kinds() -> None:
    asker = exchange()
    for number in range(1, 1001):
        ask(asker)
        if number % 3 == 0:
            asker.receive(refuse(number), 0.0)
            asker.tick(1.0)
        asker.receive(messages.response(number, None), 0.0)
        asker.out.clear()
    assert asker.count == 0 and asker.identity.seen == 1001
    names = [name for name in dir(asker) if not name.startswith("__")]  # Compiled it has no vars.
    held = [getattr(asker, name) for name in names]
    tables = [table for table in held if type(table) in (dict, set)]
    assert tables and not any(tables)
