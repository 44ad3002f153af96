from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.heart.service import Service


@pytest.fixture(autouse=True)
def all_is_ended(ends_all: None) -> None:
    """Also what tests start beside `service`."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "data")
    yield made
    made.clean_up()
