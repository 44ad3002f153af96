"""Checkpoints come when so much log was written, also where supervisors die on the way."""

from collections.abc import Callable

from osupervisor.bridge import line
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]
HALF = 20_000  # its bytes stand in the log twice: in the request, and in the state operation


def test_log_written_before_a_supervisors_death_counts_towards_the_next_checkpoint(
    start: Start,
) -> None:
    service = start('[checkpoint]\ninterval_s = "1h"\nwal_bytes = "64KiB"\n')
    first = int(service.client.request("system.checkpoint")["lsn"])
    service.client.call("store", "a", "x" * HALF)
    dead = service.kill("supervisor")
    wait_for(lambda: service.pid("supervisor") != dead, "another supervisor")
    assert service.status()["checkpoint"]["lsn"] == first
    service.client.call("store", "b", "x" * HALF)
    wait_for(lambda: service.status()["checkpoint"]["lsn"] > first, "the next checkpoint")


def test_a_log_of_more_segments_than_a_datagram_carries_is_loaded(start: Start) -> None:
    """As many as there are behind a checkpoint: each supervisor that died has left one."""
    service = start(
        '[wal]\nsegment_bytes_max = "64KiB"\n'
        '[checkpoint]\ninterval_s = "1h"\nwal_bytes = "1GiB"\n[tape]\nbytes_max = "10GiB"\n'
    )
    count = line.DESCRIPTORS_MAX + 20
    for number in range(count):
        service.client.call("store", "last", f"{number} " + "x" * HALF)
    service.kill_everything()
    assert len(list((service.data / "wal").glob("*.wal"))) > line.DESCRIPTORS_MAX
    service.start()
    last = service.client.state(["store", "last"])
    assert last.startswith(f"{count - 1} ")
