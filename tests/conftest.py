"""What holds for every test: nothing that it started outlives it, and no time is asserted.

Tests that start services use the fixture `ends_all`; the others end the few processes that they
hold themselves. What one forgets is ended at the end of the run, which then fails.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.mark import marked

settings.register_profile("unhurried", deadline=None)  # a busy machine is no wrong answer
settings.load_profile("unhurried")


@pytest.fixture
def ends_all() -> Iterator[None]:
    """Everything that the test starts is ended with it."""
    with marked():
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left() -> Iterator[None]:
    with marked() as mark:
        yield
        left = [f"{pid}: {_command(pid)}" for pid in mark.pids()]
    assert not left, "tests left processes:\n" + "\n".join(left)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "it has ended since"
