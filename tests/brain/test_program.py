"""What can be a brain: ops, queries, genes and evolvables are found, and what is wrong is said."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest

from osupervisor.brain import Brain, BrainError, Gene, LoadError, evolvable, gene, op, query
from osupervisor.brain.program import compile_program


class Base(Brain):
    @op
    def inherited(self) -> int:
        return 1

    @op
    def overridden(self) -> int:
        return 1


class Whole(Base):
    limit: ClassVar[int] = 3
    slack = gene(0.25, low=0.0, high=1.0)
    size = gene(4, low=1, high=9)

    @op
    def overridden(self) -> int:
        return 2

    @query
    def look(self) -> int:
        return self.limit

    @evolvable
    def priority(self, n: int) -> float:
        return n * self.slack

    def helper(self) -> None: ...


def test_ops_queries_genes_and_evolvables_are_found_in_the_whole_class() -> None:
    program = compile_program(Whole)
    assert {name: found.kind for name, found in program.ops.items()} == {
        "inherited": "op",
        "look": "query",
        "overridden": "op",
    }
    assert program.ops["overridden"].function is Whole.overridden
    assert list(program.genes) == ["size", "slack"]
    assert list(program.evolvables) == ["priority"]
    assert program.target.endswith("test_program:Whole")


def test_marked_methods_stay_plain_methods() -> None:
    brain = Whole()
    assert (brain.overridden(), brain.look(), brain.priority(4), brain.size) == (2, 3, 1.0, 4)
    assert isinstance(Whole.slack, Gene)


def test_gene_outside_of_its_bounds_is_refused() -> None:
    with pytest.raises(BrainError, match="found default 2, wanted 0 <= it <= 1"):
        gene(2, low=0, high=1)


def test_async_op_is_refused_with_the_reason() -> None:
    class Wrong(Brain):
        @op
        async def fetch(self) -> None: ...

        @query
        async def stream(self) -> AsyncIterator[int]:
            yield 1

    with pytest.raises(LoadError) as refused:
        compile_program(Wrong)
    for name in ("fetch", "stream"):
        assert f"{name}: found an async def; ops are short and deterministic" in str(refused.value)
    assert "let it call back with the result" in str(refused.value)


def test_everything_wrong_is_said_at_once() -> None:
    class Wrong(Base):
        @op
        def emit(self) -> None:  # type: ignore[override]  # the name is what is tested
            ...

        @op
        @staticmethod
        def static(n: int) -> None: ...

        @classmethod
        @op
        def of_class(cls) -> None: ...

        @query
        def numbers(self) -> Iterator[int]:
            yield 1

        @op
        def _hidden(self) -> None: ...

        @op
        def selfless() -> None:  # type: ignore[misc]  # likewise
            ...

        def overridden(self) -> int:
            return 3

    with pytest.raises(LoadError) as refused:
        compile_program(Wrong, "brain.py:Wrong")
    text = str(refused.value)
    assert text.startswith("brain.py:Wrong: ")
    for said in (
        "emit: the name is taken by Brain",
        "static: found staticmethod, wanted a plain method",
        "of_class: found classmethod, wanted a plain method",
        "numbers: found a generator; an op gives one result: return a list",
        "_hidden: a name with a leading underscore can't be called",
        "selfless: it has no self",
        "overridden: it overrides an op and is not marked",
    ):
        assert said in text, text


@pytest.mark.parametrize("name", ["state", "hot", "now", "random", "request", "after", "cast"])
def test_names_of_brain_are_reserved(name: str) -> None:
    def method(self: Any) -> None: ...

    wrong = type("Wrong", (Brain,), {name: op(method)})
    with pytest.raises(LoadError, match=f"{name}: the name is taken by Brain"):
        compile_program(wrong)


def test_annotation_that_cannot_be_checked_is_named() -> None:
    class Unknown(Brain):
        @op
        def take(self, thing: "Nothing") -> None:  # type: ignore[name-defined]  # noqa: F821
            ...

    class Unsayable(Brain):
        @op
        def take(self, thing: Base) -> None: ...

    with pytest.raises(LoadError, match="take: an annotation can't be checked: .*Nothing"):
        compile_program(Unknown)
    with pytest.raises(LoadError, match="take: an annotation can't be checked: .*schema"):
        compile_program(Unsayable)
