"""Real processes with hot segments, ended with the test."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.vault_store.process import BrainProcess


@pytest.fixture
def spawn() -> Iterator[Callable[..., BrainProcess]]:
    """Starts brain processes, `spawn(megabytes)`; all are killed at the end."""
    with contextlib.ExitStack() as stack:

        def start(megabytes: int = 0) -> BrainProcess:
            process = BrainProcess(megabytes)
            stack.callback(process.close)
            return process

        yield start
