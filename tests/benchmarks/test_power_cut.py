"""What a cut of the power leaves and what is missed then, without a machine: a rule that is too
kind to the service would find nothing in any number of cuts."""

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.power_cut.events import ANSWERED, FLUSHED, TOLD, WRITE, Event, Recording, read
from benchmarks.power_cut.ledger import Expected, wrong
from benchmarks.power_cut.platter import Platter
from benchmarks.power_cut.recovery import Told, Verdict, compare

EVENTS = [
    Event(WRITE, 0.0, 0, b"a" * 1024),
    Event(ANSWERED, 0.1, 0),
    Event(WRITE, 0.2, 4096, b"b" * 1024),
    Event(ANSWERED, 0.4, 2),  # behind the flush's arrival, when there were three events
    Event(FLUSHED, 0.5, 3),
    Event(TOLD, 0.6, 0, b"kept a 1 1"),
]


def cut(folder: Path, place: int, loss: str, seed: int = 1) -> tuple[bytes, bytes]:
    """What stands where the two writes went."""
    image = folder / "image"
    image.write_bytes(bytes(8192))
    platter = Platter(image, EVENTS)
    platter.advance(place)
    platter.cut(folder / "cut", loss, random.Random(seed))
    content = (folder / "cut").read_bytes()
    return content[:1024], content[4096:5120]


def test_a_flush_covers_what_was_answered_before_it_came(tmp_path: Path) -> None:
    assert cut(tmp_path, 5, "everything") == (b"a" * 1024, bytes(1024))


def test_a_flush_that_was_not_answered_covers_nothing(tmp_path: Path) -> None:
    assert cut(tmp_path, 4, "everything") == (bytes(1024), bytes(1024))


def test_what_is_in_the_cache_may_be_there_whole_or_by_sectors(tmp_path: Path) -> None:
    assert cut(tmp_path, 4, "nothing") == (b"a" * 1024, b"b" * 1024)
    found = [cut(tmp_path, 4, "sectors", seed) for seed in range(20)]
    halves = {part[start : start + 512] for parts in found for part in parts for start in (0, 512)}
    assert halves == {bytes(512), b"a" * 512, b"b" * 512}


def test_a_write_that_had_not_come_is_not_there(tmp_path: Path) -> None:
    assert cut(tmp_path, 2, "nothing") == (b"a" * 1024, bytes(1024))


def test_events_are_read_as_they_were_written(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "events")
    assert [recording.add(event) for event in EVENTS] == [0, 1, 2, 3, 4, 5]
    recording.close()
    assert read(tmp_path / "events") == EVENTS


def state_of(**numbers: int) -> dict[str, Any]:
    state: dict[str, Any] = {who: Expected(who).after(number) for who, number in numbers.items()}
    return {**state, "total": sum(numbers.values())}


def test_states_between_two_entries_are_right_and_others_are_not() -> None:
    state = state_of(a=20, b=3)
    assert wrong(state, {}) == []
    assert wrong({**state, "total": 22}, {})
    state["a"]["said"]["4"] = state["a"]["said"]["5"]
    assert wrong(state, {})


def verdict_of(state: dict[str, Any], always: bool) -> Verdict:
    """After a 1, b 1, a 2, in this order, told at 1, 2 and 3 s; the power went at 4 s."""
    told, verdict = Told(), Verdict()
    for at, line in ((1, b"kept a 1 1"), (2, b"kept b 1 2"), (3, b"kept a 2 3")):
        told.hear(Event(TOLD, at, 0, line))
    compare(state, always, told, 4.0, verdict)
    return verdict


@pytest.mark.parametrize("always", [True, False])
def test_more_than_was_told_may_be_there(always: bool) -> None:
    assert verdict_of(state_of(a=2, b=3), always).wrong == []


def test_what_is_missing_is_a_loss_and_wrong_only_in_always() -> None:
    verdict = verdict_of(state_of(a=1, b=1), False)
    assert (verdict.wrong, verdict.lost, verdict.lost_s) == ([], 1, 1.0)
    assert verdict_of(state_of(a=1, b=1), True).wrong


def test_a_gap_is_wrong_in_either_mode() -> None:
    assert verdict_of(state_of(a=2, b=0), False).wrong
    assert verdict_of(state_of(a=2, b=0), True).wrong
