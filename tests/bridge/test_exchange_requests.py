"""Requests that are wrong harm nobody but whoever made them."""

import pytest

from osupervisor.bridge import messages
from osupervisor.bridge.call import parse_call
from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.errors import LocalProtocolError, NotRunningError, RemoteProtocolError
from osupervisor.bridge.exchange import CONNECT_TIMEOUT_S, Exchange, State
from osupervisor.bridge.frames import split
from osupervisor.bridge.pending import Pending
from osupervisor.bridge.session import CONTROL_BYTES_MAX


def exchange() -> Exchange[Pending]:
    return Exchange(Pending, lambda: 1.0)


def connect(asker: Exchange[Pending]) -> None:
    """A connection is made, and the service greets."""
    asker.connected()
    asker.out.clear()
    asker.receive(messages.response(0, {"now_us": 1_000_000_000_000_000}), 0.0)


@pytest.mark.parametrize("param", [2**64, object(), "\ud800", {(1, 2): [object()]}, {(1, 2): 3}])
def test_one_that_cannot_be_packed_or_read_takes_no_number(param: object) -> None:
    asker = exchange()
    with pytest.raises(LocalProtocolError, match="'brain.state' can't be packed"):
        asker.request("brain.state", [[param]], 0.0, 1.0)
    assert asker.call("add", (), {}, 0.0).number == 1


def test_one_that_the_service_would_close_the_connection_for_is_not_sent() -> None:
    """All that is in flight on it would fail too."""
    asker = exchange()
    with pytest.raises(LocalProtocolError, match="65537 bytes"):
        asker.request("brain.state", [["k" * (CONTROL_BYTES_MAX - 19)]], 0.0, 1.0)
    fits = asker.request("brain.state", [["k" * (CONTROL_BYTES_MAX - 20)]], 0.0, 1.0)
    assert len(fits.frame) == 4 + CONTROL_BYTES_MAX
    asker.request("brain.call", ["add", [bytes(100_000)], {}, {}], 0.0, 1.0)


def deep(levels: int) -> object:
    value: object = None
    for _ in range(levels):
        value = [value]
    return value


def test_one_too_deep_to_be_read_fails_at_its_deadline_like_any_other() -> None:
    asker = exchange()
    pending = asker.call("add", (deep(1023),), {}, 0.0, None, 1.0)
    bare = asker.request("brain.call", [], 0.0, 1.0)
    assert asker.tick(1.0) == [pending, bare] and asker.count == 0
    assert isinstance(pending.error, NotRunningError) and isinstance(bare.error, NotRunningError)
    assert "add() was not sent" in pending.error.message


def test_one_that_the_service_will_refuse_gets_its_new_name_all_the_same() -> None:
    asker = exchange()
    refused = asker.call("add", (deep(300),), {}, 0.0)
    asker.call("add", ("hits",), {}, 0.0, CallOptions(session="s"))
    connect(asker)
    bodies = split(b"".join(asker.out))[0]
    assert asker.state is State.UP and not refused.done and len(bodies) == 2
    name = asker.identity.client
    assert [body.count(name) for body in bodies] == [1, 1]
    with pytest.raises(RemoteProtocolError, match="levels deep"):
        parse_call(bodies[0])
    call = parse_call(bodies[1])
    assert call is not None and (call.key, call.session) == ((name, 2), "s")


def test_whoever_asks_when_nobody_waits_any_more_waits_for_the_service_anew() -> None:
    asker = exchange()
    asker.call("add", (), {}, 0.0, None, 1.0)
    refused = ConnectionRefusedError("nobody")
    assert asker.refused(0.0, refused) == []
    assert len(asker.tick(1.0)) == 1
    late = asker.call("add", (), {}, 1000.0)
    assert asker.refused(1000.0, refused) == [] and not late.done
    assert asker.refused(1000.0 + CONNECT_TIMEOUT_S, refused) == [late]


def test_a_try_that_ends_when_nobody_waits_any_more_does_not_count_for_whoever_asks_next() -> None:
    asker = exchange()
    asker.abandon(asker.call("add", (), {}, 0.0))
    refused = ConnectionRefusedError("nobody")
    assert asker.refused(1.0, refused) == []
    late = asker.call("add", (), {}, 1000.0)
    assert asker.refused(1000.0, refused) == [] and not late.done
