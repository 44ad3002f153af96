"""TCP and metrics on ports that the kernel chooses: the status tells which."""

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import ProtocolError
from tests.end_to_end.running import Running, wait_for

Start = Callable[..., Running]
TOKEN = "0123456789abcdef"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(TOKEN)
    return path


def listens(service: Running) -> dict[str, Any]:
    return dict(service.status()["listen"])


def test_port_0_takes_a_free_one_and_keeps_it_over_a_supervisors_death(
    start: Start, token: Path
) -> None:
    service = start(f'[listen]\ntcp = "127.0.0.1:0"\ntoken_file = "{token}"\n')
    address = listens(service)["tcp"]
    with Client(address, token=TOKEN) as client:
        assert client.call("add", "x", 3) == 3
        dead = service.kill("supervisor")
        assert client.call("add", "x", 3) == 6
    wait_for(lambda: service.pid("supervisor") != dead, "another supervisor")
    assert listens(service)["tcp"] == address
    with pytest.raises(ProtocolError), Client(address, token="f" * 16) as stranger:
        stranger.call("get", "x")
    shown = service.run("status")
    assert f"tcp        {address}" in shown.stdout.splitlines()


def test_metrics_on_port_0_are_where_the_status_says(start: Start) -> None:
    service = start('[metrics]\nhttp = "127.0.0.1:0"\n')
    wait_for(lambda: listens(service)["metrics"], "the address")
    found = listens(service)
    assert found["tcp"] is None
    with urllib.request.urlopen(f"http://{found['metrics']}/metrics", timeout=30) as answer:
        assert "osupervisor_lsn" in answer.read().decode()
    assert f"metrics    {found['metrics']}" in service.run("status").stdout.splitlines()
