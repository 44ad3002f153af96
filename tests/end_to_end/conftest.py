from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.end_to_end.running import Running
from tests.mark import marked

Start = Callable[..., Running]


@pytest.fixture(autouse=True)
def all_is_ended(ends_all: None) -> None:
    """Also a service that did not come up."""


@pytest.fixture
def start(tmp_path: Path) -> Generator[Start]:
    """Start a service with these settings, as text of osupervisor.toml."""
    started: list[Running] = []

    def make(settings: str = "") -> Running:
        service = Running(tmp_path / f"service{len(started)}", settings)
        started.append(service)
        return service

    yield make
    for service in started:
        service.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Generator[Running]:
    """One service for all tests of a module, which leave it alive."""
    with marked():
        service = Running(tmp_path_factory.mktemp("shared"))
        yield service
        service.close()
