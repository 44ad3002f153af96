"""A service that allows no faults on command, as in production."""

import pytest

from osupervisor.bridge.errors import InvalidArguments
from tests.end_to_end.conftest import Start


def test_a_fault_is_refused_for_good_and_not_for_now(start: Start) -> None:
    """What is refused for now a client asks again, until its deadline."""
    service = start("[chaos]\nallowed = false\n")
    pid = service.pid("primary")
    with pytest.raises(InvalidArguments, match="not allowed here"):
        service.client.request("system.chaos", ["kill", "primary"])
    ran = service.run("chaos", "kill", "--json")
    assert ran.returncode == 1 and "chaos.allowed = true" in ran.stderr
    assert service.pid("primary") == pid
