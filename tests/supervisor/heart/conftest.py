from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.supervisor.heart.service import Service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "data")
    yield made
    made.clean_up()
