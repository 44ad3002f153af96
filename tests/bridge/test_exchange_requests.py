"""Requests that are wrong harm nobody but whoever made them."""

import pytest

from osupervisor.bridge import messages
from osupervisor.bridge.errors import LocalProtocolError
from osupervisor.bridge.exchange import Exchange
from osupervisor.bridge.pending import Pending
from osupervisor.bridge.session import CONTROL_BYTES_MAX


def exchange() -> Exchange[Pending]:
    return Exchange(Pending, lambda: 1.0)


def connect(asker: Exchange[Pending]) -> None:
    """A connection is made, and the service greets."""
    asker.connected()
    asker.out.clear()
    asker.receive(messages.response(0, {"now_us": 1_000_000_000_000_000}), 0.0)


@pytest.mark.parametrize("param", [2**64, object(), "\ud800", {(1, 2): [object()]}])
def test_one_that_cannot_be_packed_takes_no_number(param: object) -> None:
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
