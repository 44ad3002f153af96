"""The loops that the shell has to work on."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.supervisor.tree.virtual_loop import VirtualLoop

Run = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


def _runner(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> Run:
    def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(main())

    return run


def _uvloop() -> asyncio.AbstractEventLoop:
    uvloop = pytest.importorskip("uvloop")
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@pytest.fixture
def run_virtual() -> Run:
    """Runs a test's coroutine with a clock that jumps."""
    return _runner(VirtualLoop)


@pytest.fixture(params=["asyncio", "uvloop"])
def run_real(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on the real clock, on each kind of loop."""
    return _runner(asyncio.new_event_loop if request.param == "asyncio" else _uvloop)


@pytest.fixture(params=["virtual", "asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's coroutine on each kind of loop; the test must not wait for time."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "virtual": VirtualLoop,
        "asyncio": asyncio.new_event_loop,
        "uvloop": _uvloop,
    }
    return _runner(factories[request.param])
