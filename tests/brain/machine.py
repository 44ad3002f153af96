"""An executor in-process, and a brain that runs whatever a test hands in."""

from collections.abc import Callable
from typing import Any

from osupervisor.brain import Brain, gene, op, query
from osupervisor.brain.executor import Executor
from osupervisor.brain.packing import encode, new_decoder
from osupervisor.brain.program import compile_program
from osupervisor.brain.state import StateTree

T_US, SEED = 1_700_000_000_123_456, 2**63 + 11


Work = Callable[[Any], Any]


class Probe(Brain):
    """Runs whatever function a test hands in."""

    table = {"constant": 1}
    slack = gene(0.25, low=0.0, high=1.0)
    work: Work

    def __init__(self) -> None:
        self.squares = [n * n for n in range(10)]

    @op
    def run(self) -> Any:
        return Probe.work(self)

    @query
    def ask(self) -> Any:
        return Probe.work(self)

    @op
    def take(self, name: str, n: int = 1) -> list[Any]:
        self.state["taken"] = name
        return [name, n]


class Machine:
    """An executor with its tree."""

    def __init__(self, brain: type[Brain] = Probe) -> None:
        self.tree = StateTree()
        self.executor = Executor(compile_program(brain), self.tree)

    def execute(self, request: Any, key: Any = ("c", 1)) -> tuple[Any, Any, Any, Any, Any]:
        """Error map, result, ops, effects, undo."""
        outcome, ops, effects, undo = self.executor.execute(key, request)
        decoder = new_decoder(len(outcome) + 1)
        decoder.feed(outcome)
        error, result = decoder.unpack(), decoder.unpack()
        return error, result, ops, effects, undo

    def run(self, work: Work, name: str = "run") -> tuple[Any, Any, Any, Any, Any]:
        Probe.work = staticmethod(work)
        return self.execute([name, [], {}, T_US, SEED])

    def fails(self, work: Work, name: str = "run") -> dict[str, Any]:
        """The error of an execution that must leave no trace."""
        before = encode(self.tree.plain())
        error, result, ops, effects, undo = self.run(work, name)
        assert error is not None, result
        assert (effects, undo, result) == (b"\x90", None, None)
        assert ops == (b"\x90" if name == "run" else None)
        assert encode(self.tree.plain()) == before
        found: dict[str, Any] = error
        return found
