"""Output that nobody reads is dropped and counted, and never stops an op."""

import os
from collections.abc import Generator

import pytest

from osupervisor.brain.output import DroppingWriter


@pytest.fixture
def pipe() -> Generator[tuple[int, int]]:
    """Reading and writing end; the writing end does not block."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_what_fits_is_written_as_it_is(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert DroppingWriter(writer).write(b"one\n") == 4
    assert os.read(reader, 100) == b"one\n"


def test_what_does_not_fit_is_dropped_and_said_when_there_is_room(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    output = DroppingWriter(writer)
    assert output.write(b"x" * 1_000_000) == 1_000_000
    assert output.write(b"y" * 10) == 10
    first = os.read(reader, 1_000_000)
    assert set(first) == {ord("x")}
    assert output.write(b"z\n") == 2
    dropped = 1_000_000 - len(first) + 10
    assert os.read(reader, 100) == f"[{dropped} bytes of output dropped]\nz\n".encode()
    assert output.dropped_bytes == 0


def test_pipe_without_a_reader_is_no_error() -> None:
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.close(reader)
    output = DroppingWriter(writer)
    assert output.write(b"x") == 1
    os.close(writer)
    assert output.write(b"x") == 1
    assert output.dropped_bytes == 2
