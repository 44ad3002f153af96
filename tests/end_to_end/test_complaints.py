"""What makes a service degraded, as the settings of health have it."""

import os
import signal
import threading
from collections.abc import Callable

from osupervisor.bridge.client import Client
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]


def complaints(service: Running) -> list[str]:
    return list(service.status()["complaints"])


def test_bytes_that_wait_are_complained_of_as_calls_are(start: Start) -> None:
    """They wait for a primary that is stopped, for as long as the test needs."""
    service = start(
        'window = 1\nqueue_bytes_max = "64KiB"\n'
        '[health]\nsuspicion_s = "100s"\nsilence_s = "200s"\n'
    )
    service.pid("standby")

    def store(number: int) -> None:
        with Client(service.data, timeout_s=60) as client:
            client.call("store", str(number), "x" * 20_000)

    threads = [threading.Thread(target=store, args=(number,)) for number in range(3)]
    primary = service.pid("primary")
    os.kill(primary, signal.SIGSTOP)
    try:
        threads[0].start()
        wait_for(lambda: service.status()["in_flight"] == 1, "the first")
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: service.status()["queue"]["calls"] == 2, "the queue")
        (found,) = complaints(service)
        assert found.startswith("2 calls of 40") and found.endswith(" bytes wait")
        assert service.status()["health"] == "degraded"
    finally:
        os.kill(primary, signal.SIGCONT)
    for thread in threads:
        thread.join()
    assert complaints(service) == []


def test_memory_is_measured_by_the_limit_of_a_brain_where_there_is_one(start: Start) -> None:
    service = start('[brain]\nmemory_bytes_max = "1GiB"\n[health]\nrss_share_max = 0.01\n')
    wait_for(lambda: complaints(service), "the complaint")
    found = complaints(service)[0]
    assert "brain.memory_bytes_max" in found and found.startswith("a brain takes ")


def test_a_brain_far_below_its_limit_is_healthy(start: Start) -> None:
    service = start('[brain]\nmemory_bytes_max = "1GiB"\n')

    def measured() -> bool:
        standby = service.status()["standby"]
        return standby is not None and standby["rss_bytes"] > 0

    wait_for(measured, "the measurement")
    assert complaints(service) == []
