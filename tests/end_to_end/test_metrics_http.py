"""Metrics over HTTP: numbers, also where the address is not to be had at first."""

import socket
import urllib.request
from collections.abc import Callable

from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def test_a_taken_port_is_complained_of_and_taken_when_it_is_free(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        service = start(f'[metrics]\nhttp = "127.0.0.1:{port}"\n')
        assert service.client.call("add", "x", 1) == 1
        wait_for(lambda: service.status()["complaints"], "the complaint")
        status = service.status()
        assert status["complaints"] == [f"metrics.http can't listen on 127.0.0.1:{port}"]
        assert (status["state"], status["health"]) == ("ready", "degraded")
        (said,) = [row for row in service.log() if row["message"] == "metrics.not_served"]
        assert (said["level"], said["address"]) == ("error", f"127.0.0.1:{port}")
        assert "in use" in said["reason"].lower() and "metrics.http" in said["hint"]
    wait_for(lambda: not service.status()["complaints"], "the address")
    assert "osupervisor_lsn" in fetch(port)
    assert service.status()["health"] == "healthy"
    assert [row for row in service.log() if row["message"] == "metrics.served"]
