"""What an op asks for besides its changes: packed, checked and bounded."""

import math
from typing import Any

import pytest

from osupervisor.brain.context import EFFECTS_MAX, unpack_effects
from tests.brain.machine import Machine, Probe, Work


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_effects_are_packed_when_they_are_asked_for(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        payload: dict[str, Any] = {"n": 1}
        brain.emit("one", item=payload)
        payload["n"] = 2
        brain.emit("two", item=payload)
        brain.after(0.0000014, "take", "x", n=3)
        brain.cast("run")

    assert unpack_effects(machine.run(work)[3]) == [
        ["emit", "one", {"item": {"n": 1}}],
        ["emit", "two", {"item": {"n": 2}}],
        ["after", 1, "take", ["x"], {"n": 3}],
        ["cast", "run", [], {}],
    ]


REFUSED_EFFECTS: list[tuple[Work, str]] = [
    (lambda brain: brain.emit(""), "wanted a name of 1 to 256 bytes"),
    (lambda brain: brain.emit(3), "found event 3"),
    (lambda brain: brain.emit("x", a={1, 2}), "payload['a']: found set"),
    (lambda brain: brain.after(-1, "run"), "found -1 s"),
    (lambda brain: brain.after(math.nan, "run"), "found nan s"),
    (lambda brain: brain.after(math.inf, "run"), "found inf s"),
    (lambda brain: brain.after(1e12, "run"), "wanted 0 to 3155760000 s"),
    (lambda brain: brain.after("1", "run"), "found a delay of type str"),
    (lambda brain: brain.after(True, "run"), "found a delay of type bool"),
    (lambda brain: brain.after(1, "nothing"), "no op 'nothing'; there are: run, take"),
    (lambda brain: brain.cast("ask"), "ask is a query"),
    (lambda brain: brain.cast(brain.run), "no op"),
    (lambda brain: brain.cast("take"), "name: missing"),
    (lambda brain: brain.cast("take", "x", n="y"), "n: found 'y' (str)"),
]


@pytest.mark.parametrize(("work", "named"), REFUSED_EFFECTS)
def test_effect_that_cannot_be_written_is_refused(machine: Machine, work: Work, named: str) -> None:
    error = machine.fails(work)
    assert error["data"]["type"] == "EffectError"
    assert named in error["message"], error["message"]


def test_effects_of_one_request_are_bounded(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        for _ in range(EFFECTS_MAX + 1):
            brain.emit("x")

    assert "more than 10000 effects" in machine.fails(work)["message"]
