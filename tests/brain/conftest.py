"""What all tests of brains share."""

from collections.abc import Generator

import pytest

from tests.brain.driver import close_shared


@pytest.fixture(scope="session", autouse=True)
def shared_nurseries() -> Generator[None]:
    """The nurseries that tests start on the way end with the session."""
    yield
    close_shared()
