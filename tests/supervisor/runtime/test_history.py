"""The numbers that outlive a supervisor."""

import os
from collections.abc import Generator

import pytest

from osupervisor.supervisor.heart.launch import Predecessor
from osupervisor.supervisor.runtime.history import (
    STORE_NAME,
    WORDS_BYTES_MAX,
    History,
    LastWords,
    inherit,
)


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


def test_the_ladders_rung_is_kept_until_the_service_ends(first: History) -> None:
    assert first.rung == 0
    first.keep_rung(2)
    second = inherit({STORE_NAME: first.fd})
    second.count_brain_death()
    assert inherit({STORE_NAME: first.fd}).rung == 2
    assert inherit({}).rung == 0


@pytest.mark.parametrize("content", [b"", b"x" * 63, b"x" * 4096], ids=len)
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


def test_last_words_are_told_to_the_next_supervisor_alone(first: History) -> None:
    assert (first.last_words.pid, first.last_words.text) == (0, "")
    first.say("Traceback: ")
    first.say("no such luck\n")
    second = inherit({STORE_NAME: first.fd})
    assert second.last_words.text == "Traceback: no such luck\n"
    assert second.last_words.pid == os.getpid()
    second.count_brain_death()
    third = inherit({STORE_NAME: first.fd})
    assert third.last_words.text == ""
    assert (third.supervisor_deaths, third.brain_deaths) == (2, 1)


def test_the_first_death_without_a_report_is_handed_on_with_its_words(first: History) -> None:
    """However many supervisors end before they can write one; the last of them is told, too."""
    first.say("Fatal Python error\n")
    stored, own = {STORE_NAME: first.fd}, os.getpid()
    second = inherit(stored, Predecessor(own, -11))
    assert [(dead, words.text) for dead, words in second.waiting] == [
        (Predecessor(own, -11), "Fatal Python error\n")
    ]
    second.say("it could not start\n")
    for number in (2, 3):
        later = inherit(stored, Predecessor(own + number, 74))
        assert [(dead.pid, dead.status) for dead, _ in later.waiting] == [
            (own, -11),
            (own + number, 74),
        ]
        assert later.waiting[0][1].text == "Fatal Python error\n"
        assert later.waiting[1][1].text == "it could not start\n"
        later.say("it could not start\n")
    later.reported()
    assert inherit(stored).waiting == []


@pytest.mark.parametrize("status", [None, 0, 70, -9])
def test_a_death_that_waits_keeps_its_status(first: History, status: int | None) -> None:
    stored = {STORE_NAME: first.fd}
    inherit(stored, Predecessor(7, status))
    assert inherit(stored, Predecessor(8, 74)).waiting[0] == (
        Predecessor(7, status),
        LastWords(7, ""),
    )


def test_no_word_is_taken_for_the_end_of_those_before_it(first: History) -> None:
    """An error's text may hold any byte."""
    stored, own = {STORE_NAME: first.fd}, os.getpid()
    first.say("ValueError: \0 in a name\n")
    second = inherit(stored, Predecessor(own, 70))
    assert second.waiting[0][1].text == "ValueError: \\0 in a name\n"
    second.say("\0\n")
    third = inherit(stored, Predecessor(own, 74))
    assert [words.text for _, words in third.waiting] == ["ValueError: \\0 in a name\n", "\\0\n"]


def test_last_words_are_bounded(first: History) -> None:
    first.say("a" + "b" * WORDS_BYTES_MAX)
    assert inherit({STORE_NAME: first.fd}).last_words.text == "b" * WORDS_BYTES_MAX
