"""A brain's port: what its brain is to blame for, and what it is not."""

import asyncio
import socket
from collections.abc import Generator

import pytest

from osupervisor.bridge import packing
from osupervisor.bridge.frames import frame
from osupervisor.supervisor.core.response import Response
from osupervisor.supervisor.runtime.port import BrainPort, Note
from tests.supervisor.runtime.nobody import Nobody

NO_PARAMS: list[object] = []
NOTE = frame(packing.pack([2, "told", NO_PARAMS]))
RESPONSE = frame(packing.pack([1, 7, None, [1, b"", b"\x90", b"\x90"]]))


class Events(Nobody):
    """Notes what it is told; `error` is raised by whoever is told of messages."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.error: Exception | None = None

    def responded(self, brain: int, responses: list[Response]) -> None:
        self._tell("responded")

    def noted(self, brain: int, note: Note) -> None:
        self._tell("noted")

    def broken(self, brain: int, reason: str) -> None:
        self.told.append("broken")

    def _tell(self, what: str) -> None:
        self.told.append(what)
        if self.error is not None:
            raise self.error


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def brain(events: Events) -> Generator[tuple[BrainPort, socket.socket]]:
    """A port, and the brain's end of it."""
    loop = asyncio.new_event_loop()
    ours, theirs = socket.socketpair()
    port = BrainPort(1, ours, loop, events)
    yield port, theirs
    port.close()
    theirs.close()
    loop.close()


def test_what_came_whole_before_garbage_counts(
    brain: tuple[BrainPort, socket.socket], events: Events
) -> None:
    port, theirs = brain
    theirs.sendall(RESPONSE + NOTE + RESPONSE + frame(b"\xc1") + NOTE)
    port.drain()
    assert events.told == ["responded", "noted", "responded", "broken"]


def test_a_method_of_too_many_levels_is_garbage(
    brain: tuple[BrainPort, socket.socket], events: Events
) -> None:
    port, theirs = brain
    theirs.sendall(frame(b"\x93\x02" + b"\x91" * 1000 + b"\x90\x90"))
    port.drain()
    assert events.told == ["broken"]


@pytest.mark.parametrize("message", [NOTE, RESPONSE])
@pytest.mark.parametrize("error", [ValueError("ours"), TypeError("ours")])
def test_a_fault_of_who_is_told_is_not_the_brains(
    brain: tuple[BrainPort, socket.socket], events: Events, message: bytes, error: Exception
) -> None:
    port, theirs = brain
    events.error = error
    theirs.sendall(message)
    with pytest.raises(type(error), match="ours"):
        port.drain()
    assert "broken" not in events.told
