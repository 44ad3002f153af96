"""One request at a time, in-process: outcome, operations, effects, and the state when it fails."""

import enum
import random
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from pydantic import AfterValidator

from osupervisor.brain import Brain, LoadError, op, query
from osupervisor.brain.executor import OUTCOME_BYTES_MAX, Executor
from osupervisor.brain.packing import LEVELS_MAX, decode, encode, new_decoder
from osupervisor.brain.program import compile_program
from osupervisor.brain.state import StateTree
from tests.brain.machine import SEED, T_US, Machine, Probe, Work


class Color(enum.Enum):
    RED = "red"


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_time_random_key_and_seed_come_with_the_request(machine: Machine) -> None:
    def work(brain: Probe) -> Any:
        request = brain.request
        first = brain.random.random()
        return [brain.now(), first, brain.random.random(), request.op, request.t_us, request.seed]

    wanted = random.Random(SEED)
    _, result, *_ = machine.run(work)
    assert result == [T_US / 1e6, wanted.random(), wanted.random(), "run", T_US, SEED]
    assert machine.run(work)[1] == result, "the same request draws the same numbers"


def test_undo_restores_the_state(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        brain.state["a"] = {"b": [1]}
        brain.hot["n"] += 2

    undo = machine.run(work)[4]
    assert machine.tree.plain() == ({"a": {"b": [1]}}, {"n": 2})
    machine.tree.rollback(undo)
    assert machine.tree.plain() == ({}, {})


def test_state_and_hot_may_be_assigned_whole(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        brain.state = {"b": 1, "a": {"c": 2}}
        brain.hot = {"n": 3}

    machine.run(lambda brain: brain.state.update(old=1))
    ops = machine.run(work)[2]
    assert machine.tree.plain() == ({"b": 1, "a": {"c": 2}}, {"n": 3})
    follower = StateTree({"old": 1}, {})
    follower.apply(ops)
    assert encode(follower.plain()) == encode(machine.tree.plain())


ASSIGNMENTS: list[Work] = [
    lambda brain: setattr(brain, "cache", {}),
    lambda brain: setattr(brain, "squares", []),
    lambda brain: setattr(brain, "slack", 0.5),
    lambda brain: setattr(brain, "run", None),
    lambda brain: delattr(brain, "squares"),
]


@pytest.mark.parametrize("work", ASSIGNMENTS)
def test_no_other_attribute_can_be_assigned(machine: Machine, work: Work) -> None:
    error = machine.fails(work)
    assert error["data"]["type"] == "StateError"
    assert "can't be assigned in an op" in error["message"]


def test_state_is_no_place_for_anything_but_a_dict(machine: Machine) -> None:
    error = machine.fails(lambda brain: setattr(brain, "state", [1]))
    assert "state: found list, wanted a dict" in error["message"]


def test_genes_and_constants_can_be_read(machine: Machine) -> None:
    assert machine.run(lambda brain: [brain.slack, brain.squares[3], brain.table])[1] == [
        0.25,
        9,
        {"constant": 1},
    ]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SystemExit(3), "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (MemoryError(), "MemoryError"),
        (GeneratorExit(), "GeneratorExit"),
        (ExceptionGroup("both", [ValueError("one"), TypeError("two")]), "ExceptionGroup"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "UnicodeDecodeError"),
    ],
)
def test_whatever_an_op_raises_is_its_failure(
    machine: Machine, error: BaseException, kind: str
) -> None:
    def work(brain: Probe) -> None:
        brain.state["half"] = "done"
        brain.hot["n"] += 1
        brain.emit("never")
        raise error

    assert machine.fails(work)["data"]["type"] == kind
    machine.run(lambda brain: None)
    assert machine.run(lambda brain: brain.emit("next"))[3] == b"\x91\x93\xa4emit\xa4next\x80"


def test_endless_recursion_is_a_failure(machine: Machine) -> None:
    def work(brain: Probe) -> Any:
        brain.state["depth"] = brain.state.get("depth", 0) + 1
        return work(brain)

    error = machine.fails(work)
    assert error["data"]["type"] == "RecursionError"
    assert len(error["data"]["traceback"]) <= 16_384


def test_traceback_shows_the_authors_frames_alone(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        try:
            brain.state["x"] = object()
        except Exception as error:
            raise LookupError("second") from error

    text = machine.fails(work)["data"]["traceback"]
    assert "in work" in text and 'brain.state["x"] = object()' in text
    assert "direct cause" in text and text.endswith("LookupError: second\n")
    assert "brain/executor.py" not in text and "brain/tracked_dict.py" not in text


def test_error_whose_text_can_not_be_had_is_told_all_the_same(machine: Machine) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def work(brain: Probe) -> None:
        raise Mute

    error = machine.fails(work)
    assert error["data"]["type"] == "Mute"
    assert "can't be shown" in error["message"]


def test_message_with_lone_surrogates_can_be_sent(machine: Machine) -> None:
    def work(brain: Probe) -> None:
        raise ValueError("\ud800 " + "x" * 100_000)

    error = machine.fails(work)
    assert "\\ud800" in error["message"]
    assert len(error["message"]) < 5_000


@pytest.mark.parametrize(
    ("result", "named"),
    [
        (object(), "result: found object"),
        ({"a": [1, {2: {3}}]}, "result['a'][1][2]: found set"),
        ([1, 2**64], "result[1]: found 65 bits"),
        (-(2**63) - 1, "result: found 64 bits"),
        ({"a": {(1, 2): 3}}, "result['a']: found the key (1, 2) (tuple)"),
        ("\ud800", "surrogates not allowed"),
        ({"c": Color.RED}, "result['c']: found Color"),
        (iter([]), "result: found list_iterator"),
    ],
)
def test_result_that_cannot_be_carried_names_the_path(
    machine: Machine, result: Any, named: str
) -> None:
    def work(brain: Probe) -> Any:
        brain.state["half"] = "done"
        return result

    error = machine.fails(work)
    assert error["data"]["type"] == "UnpackableError"
    assert named in error["message"], error["message"]


def test_result_that_holds_itself_or_is_too_deep_is_refused(machine: Machine) -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert "contains itself" in machine.fails(lambda brain: loop)["message"]
    deep: list[Any] = []
    for _ in range(2_000):
        deep = [deep]
    assert "levels deep" in machine.fails(lambda brain: deep)["message"]


@pytest.mark.parametrize("levels", [1000, LEVELS_MAX, LEVELS_MAX + 1, 1020, 1023, 1024, 1025])
@pytest.mark.parametrize("name", ["run", "ask"])
def test_a_result_of_many_levels_is_refused_or_can_be_read_in_the_answer(
    machine: Machine, levels: int, name: str
) -> None:
    def work(brain: Probe) -> Any:
        deep: Any = "core"
        for level in range(levels):
            deep = [deep] if level % 2 else {"in": deep}
        return deep

    Probe.work = staticmethod(work)
    outcome = machine.executor.execute(("c", 1), [name, [], {}, T_US, SEED])[0]
    error = decode(b"\x94\x01\x01" + outcome)[2]
    assert (error is None) is (levels <= LEVELS_MAX)


def test_result_may_be_a_part_of_the_state(machine: Machine) -> None:
    def work(brain: Probe) -> Any:
        brain.state["a"] = {"b": [1, (2, 3)]}
        return {"all": brain.state, "part": brain.state["a"]["b"], "hot": brain.hot}

    assert machine.run(work)[1] == {
        "all": {"a": {"b": [1, [2, 3]]}},
        "part": [1, [2, 3]],
        "hot": {},
    }


def test_size_of_a_commit_is_bounded_to_the_byte(machine: Machine) -> None:
    head = 1 + 5
    largest = OUTCOME_BYTES_MAX - head - 2
    assert machine.run(lambda brain: "x" * largest)[0] is None
    error = machine.fails(lambda brain: "x" * (largest + 1))
    assert error["data"]["type"] == "CommitTooLarge"
    error = machine.fails(lambda brain: "x" * (largest + 3), "ask")
    assert error["data"]["result"] == OUTCOME_BYTES_MAX + 1

    def grow(brain: Probe) -> None:
        brain.state["grown"] = "x" * 2**24

    assert machine.fails(grow)["data"]["ops"] > 2**24


def test_traceback_of_a_query_begins_with_the_author(machine: Machine) -> None:
    """How the executor found the query is not what the author asked for."""

    def work(_: Any) -> None:
        try:
            {"there": 1}["missing"]
        finally:
            raise ValueError("wanted")

    shown = machine.run(work, "ask")[0]["data"]["traceback"]
    assert shown.startswith("Traceback (most recent call last)")
    assert "KeyError: 'missing'" in shown and "KeyError: 'ask'" not in shown


def test_query_neither_writes_nor_asks_for_effects(machine: Machine) -> None:
    machine.run(lambda brain: brain.state.update(a=1))
    assert machine.run(lambda brain: brain.state["a"], "ask")[1:4] == (1, None, b"\x90")
    works: list[Work] = [
        lambda brain: brain.state.update(b=1),
        lambda brain: brain.hot.update(b=1),
        lambda brain: setattr(brain, "state", {}),
        lambda brain: brain.emit("x"),
        lambda brain: brain.after(1, "run"),
        lambda brain: brain.cast("run"),
    ]
    for work in works:
        machine.fails(work, "ask")
    assert machine.run(lambda brain: brain.state.update(c=1))[0] is None, "ops may write again"


@pytest.mark.parametrize(
    "request_",
    [None, 3, [], ["take"], {"op": 1}, [["take"], [], {}, 1, 1], [None, [], {}, 1, 1]],
)
def test_what_is_no_request_is_refused(machine: Machine, request_: Any) -> None:
    error, result, ops, _, undo = machine.execute(request_)
    assert (error["code"], result, ops, undo) == ("InvalidArguments", None, b"\x90", None)


def test_unknown_op_names_those_that_there_are(machine: Machine) -> None:
    error = machine.execute(["tak", ["x"], {}, T_US, SEED])[0]
    assert (error["code"], error["data"]) == (
        "OpNotFound",
        {"op": "tak", "ops": ["ask", "run", "take"]},
    )


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [({"a": 1}, {}), (["x"], [1]), ("x", {}), (["x"], {"m": 1}), ([], {1: 2}), (7, {})],
)
def test_arguments_of_another_shape_are_refused(machine: Machine, args: Any, kwargs: Any) -> None:
    error, _, ops, _, _ = machine.execute(["take", args, kwargs, T_US, SEED])
    assert (error["code"], ops) == ("InvalidArguments", b"\x90")
    assert machine.tree.plain() == ({}, {})


def test_arguments_reach_the_op_by_position_and_by_name(machine: Machine) -> None:
    for args, kwargs in ((["x", 2], {}), (["x"], {"n": 2}), ([], {"n": 2, "name": "x"})):
        for _ in range(2):
            assert machine.execute(["take", args, kwargs, T_US, SEED])[1] == ["x", 2]
    assert machine.execute(["take", ["x"], {}, T_US, SEED])[1] == ["x", 1]


def test_nothing_works_outside_of_a_request(machine: Machine) -> None:
    brain = Probe()
    uses: list[Callable[[], Any]] = [
        lambda: brain.state,
        lambda: brain.hot,
        lambda: brain.now(),
        lambda: brain.random,
        lambda: brain.emit("x"),
    ]
    for use in uses:
        with pytest.raises(Exception, match="nothing is being executed"):
            use()


def test_constructor_that_fails_is_a_load_error() -> None:
    class NeedsState(Brain):
        def __init__(self) -> None:
            self.first = self.state["x"]

        @op
        def run(self) -> None: ...

    class NeedsArguments(Brain):
        def __init__(self, size: int) -> None:
            self.size = size

        @op
        def run(self) -> None: ...

    for cls in (NeedsState, NeedsArguments):
        with pytest.raises(LoadError, match="takes no arguments, sets constants only"):
            Executor(compile_program(cls), StateTree())


def test_outcome_of_a_state_read_is_bounded_and_names_the_path(machine: Machine) -> None:
    machine.run(lambda brain: brain.state.update({"a": {"b": "x" * 2**23}}))
    machine.run(lambda brain: brain.state.update({"c": "y" * 2**23}))
    decoder = new_decoder(2**25)
    decoder.feed(machine.executor.state([]))
    assert decoder.unpack()["data"]["type"] == "CommitTooLarge"
    assert decode(machine.executor.state(["a", "b"])[1:]) == "x" * 2**23


def test_a_path_of_too_many_levels_to_be_shown_leads_nowhere(machine: Machine) -> None:
    key: object = []
    for _ in range(1000):
        key = [key]
    error = decode(machine.executor.state([key])[:-1])
    assert error["code"] == "InvalidArguments"
    assert error["message"].startswith("state: nothing under ")


def test_the_activity_may_be_asked_for_while_a_result_is_packed(machine: Machine) -> None:
    class Table(dict[str, int]):
        def items(self) -> Any:
            machine.executor.activity()
            return super().items()

    error, result, *_ = machine.run(lambda _: ["before", Table(a=1), "behind"])
    assert error is None and result == ["before", {"a": 1}, "behind"]


def _divide(value: int) -> float:
    """A validator that forgot something."""
    return value / (value - 7)


class Judge(Brain):
    """Its arguments are checked by code of its author's."""

    @op
    def judge(self, value: Annotated[int, AfterValidator(_divide)]) -> float:
        return value

    @query
    def weigh(self, value: Annotated[int, AfterValidator(_divide)]) -> float:
        return value


def test_what_a_validator_raises_is_the_calls_failure_and_no_more() -> None:
    """pydantic hands on what is neither a ValueError nor an AssertionError."""
    machine = Machine(Judge)
    for name in ("judge", "weigh"):
        error, result, ops, effects, undo = machine.execute([name, [7], {}, T_US, SEED])
        assert (error["code"], error["data"]["type"]) == ("OpFailed", "ZeroDivisionError")
        assert "in _divide" in error["data"]["traceback"]
        assert (result, effects, undo) == (None, b"\x90", None)
        assert ops == (b"\x90" if name == "judge" else None)
        assert machine.execute([name, [14], {}, T_US, SEED])[1] == 2.0
