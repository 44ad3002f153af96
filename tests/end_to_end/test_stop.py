"""What a stop leaves behind: nothing that runs, and nothing that was not asked for."""

from collections.abc import Callable

from tests.end_to_end.running import Running

Start = Callable[..., Running]


def test_a_stop_grants_no_lease_on_the_way_down(start: Start) -> None:
    """A standby was granted one when the primary ended: an epoch and a record for nothing."""
    service = start()
    service.pid("standby")
    service.client.call("add", "x", 1)
    epoch = service.status()["epoch"]
    for more in (1, 2):
        assert service.run("stop").returncode == 0
        service.start()
        service.pid("standby")
        assert service.status()["epoch"] == epoch + more
