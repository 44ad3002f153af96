"""The numbers that outlive a supervisor."""

import os
from collections.abc import Generator

import pytest

from osupervisor.supervisor.runtime.history import STORE_NAME, History, inherit


@pytest.fixture
def first() -> Generator[History]:
    history = inherit({})
    yield history
    os.close(history.fd)


def test_a_new_history_is_empty_and_its_clock_runs(first: History) -> None:
    assert (first.supervisor_deaths, first.brain_deaths) == (0, 0)
    began = first.uptime_s()
    assert 0.0 <= began <= first.uptime_s()


def test_the_next_supervisor_counts_on(first: History) -> None:
    first.count_brain_death()
    second = inherit({STORE_NAME: first.fd})
    second.count_brain_death()
    third = inherit({STORE_NAME: first.fd})
    assert (third.supervisor_deaths, third.brain_deaths) == (2, 2)
    assert third.uptime_s() >= first.uptime_s() - 1e-3


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 4096], ids=len)
def test_what_is_no_history_is_left_alone(content: bytes) -> None:
    fd = os.memfd_create("other", os.MFD_CLOEXEC)
    os.write(fd, content)
    history = inherit({STORE_NAME: fd})
    try:
        assert history.fd != fd and os.pread(fd, 5000, 0) == content
        assert (history.supervisor_deaths, history.brain_deaths) == (0, 0)
    finally:
        os.close(history.fd)
        os.close(fd)


def test_a_descriptor_that_cant_be_read_is_no_history() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    history = inherit({STORE_NAME: write_end})
    assert history.fd != write_end
    os.close(history.fd)
    os.close(write_end)
