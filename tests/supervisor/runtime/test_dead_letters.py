"""Dead letters: one for each request, whatever becomes of its tries."""

import stat
from pathlib import Path

import pytest

from osupervisor.bridge.methods import BRAIN_STATE
from osupervisor.bridge.port_messages import request_bytes
from osupervisor.supervisor.core import outcome as outcomes
from osupervisor.supervisor.core.key import Key
from osupervisor.supervisor.core.outbox import KeepDeadLetter
from osupervisor.supervisor.runtime.dead_letters import DeadLetters, NoSuchLetterError, tries_of

PARAMS = b"\xa3die\x90\x80"


def quarantined(key: Key, params: bytes = PARAMS, t_us: int = 1) -> KeepDeadLetter:
    """A request that was given up; each delivery to a new log time has another tail."""
    return KeepDeadLetter(
        key, "die", request_bytes(params, t_us, t_us), outcomes.quarantined("", 3)
    )


@pytest.fixture
def letters(tmp_path: Path) -> DeadLetters:
    return DeadLetters(tmp_path / "deadletter", kept=10)


def test_a_quarantined_try_keeps_the_letter_it_is_of(letters: DeadLetters) -> None:
    letter = letters.keep(quarantined("k1"))
    assert (letters.show(letter)["tries"], letters.show(letter)["tried_unix_s"]) == (0, None)
    for tries in (1, 2):
        key = letters.begin_try(letter)
        for _ in range(2):  # The supervisor may die between the letter and its verdict.
            assert letters.keep(quarantined(key, t_us=tries + 1)) == letter
        (found,) = letters.ls()
        assert (found["id"], found["key"], found["tries"]) == (letter, "k1", tries)


def test_a_letter_is_its_owners_alone(letters: DeadLetters, tmp_path: Path) -> None:
    """It holds a request in plain."""
    letter = letters.keep(quarantined("k1"))
    letters.begin_try(letter)
    folder = tmp_path / "deadletter"
    (path,) = folder.iterdir()
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(path.stat().st_mode)) == (
        0o700,
        0o600,
    )


def test_each_try_has_a_key_of_its_own(letters: DeadLetters) -> None:
    letter = letters.keep(quarantined("k1"))
    assert letters.begin_try(letter) != letters.begin_try(letter)


def test_a_try_whose_letter_was_dropped_meanwhile_gets_one(letters: DeadLetters) -> None:
    letter = letters.keep(quarantined("k1"))
    key = letters.begin_try(letter)
    letters.drop(letter)
    other = letters.keep(quarantined(key))
    assert other != letter
    assert [found["id"] for found in letters.ls()] == [other]


def test_a_clients_key_that_looks_like_a_trys_hides_no_request(letters: DeadLetters) -> None:
    letter = letters.keep(quarantined("k1"))
    letters.keep(quarantined(letters.begin_try(letter), params=b"\xa4kill\x90\x80"))
    assert len(letters.ls()) == 2


def test_a_read_of_the_state_is_told_by_its_path(letters: DeadLetters) -> None:
    def read(key: Key, path: bytes) -> KeepDeadLetter:
        return KeepDeadLetter(key, BRAIN_STATE, path, outcomes.quarantined(BRAIN_STATE, 3))

    letter = letters.keep(read((7, 1), b"\x91\xa1a"))
    assert letters.keep(read(letters.begin_try(letter), b"\x91\xa1a")) == letter
    assert letters.keep(read(letters.begin_try(letter), b"\x91\xa1b")) != letter


def test_a_letter_of_an_earlier_version_counts_from_nothing(letters: DeadLetters) -> None:
    assert tries_of({"id": "0123456789ab"}) == 0


def test_what_is_not_there_can_not_be_tried(letters: DeadLetters) -> None:
    with pytest.raises(NoSuchLetterError):
        letters.begin_try("0123456789ab")
