"""Arguments are checked by annotations, as strictly as JSON, and the error names each of them."""

import datetime
import decimal
import enum
import functools
import inspect
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import annotated_types
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from osupervisor.brain.arguments import Arguments
from osupervisor.brain.errors import ArgumentsError


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Item(TypedDict):
    name: str
    n: int


class Model(pydantic.BaseModel):
    name: str
    children: list["Model"] = []


@dataclass
class Point:
    x: float
    y: float = 0.0


class Ops:
    def plain(self, name: str, n: int = 1, f: float = 0.5, b: bool = False) -> None: ...
    def optional(self, value: int | None, text: str | bytes | None = None) -> None: ...
    def anything(self, value: Any, other=None) -> None: ...  # type: ignore[no-untyped-def]
    def containers(self, xs: list[int], d: dict[str, float], t: tuple[int, str]) -> None: ...
    def bare(self, xs: list, d: dict) -> None: ...  # type: ignore[type-arg]
    def rich(self, when: datetime.datetime, size: Size, ids: set[uuid.UUID]) -> None: ...
    def money(self, amount: decimal.Decimal, kind: Literal["a", "b"] = "a") -> None: ...
    def typed(self, item: Item, point: Point) -> None: ...
    def models(self, one: Model, two: Model) -> None: ...
    def bounded(self, n: Annotated[int, annotated_types.Ge(1), annotated_types.Le(9)]) -> None: ...
    def variadic(self, first: int, *rest: int, flag: bool = False, **more: str) -> None: ...
    def only(self, a: int, /, b: int, *, c: int) -> None: ...
    def mutable(self, xs: list[int] = [], n: int = 0) -> None: ...  # noqa: B006
    def nothing(self) -> None: ...


def arguments(name: str) -> Arguments:
    function: Callable[..., Any] = getattr(Ops, name)
    return Arguments(name, function)


GOOD: list[tuple[str, list[Any], dict[str, Any], list[Any]]] = [
    ("plain", ["a"], {}, ["a", 1, 0.5, False]),
    ("plain", ["a", 2, 3, True], {}, ["a", 2, 3.0, True]),
    ("plain", ["a"], {"b": True, "n": 4}, ["a", 4, 0.5, True]),
    ("optional", [None], {}, [None, None]),
    ("optional", [3, b"x"], {}, [3, b"x"]),
    ("optional", [3], {"text": "x"}, [3, "x"]),
    ("anything", [{"a": [1]}, 2], {}, [{"a": [1]}, 2]),
    ("containers", [[1, 2], {"a": 1}, [1, "x"]], {}, [[1, 2], {"a": 1.0}, (1, "x")]),
    ("bare", [[1, "x"], {"a": 1}], {}, [[1, "x"], {"a": 1}]),
    ("money", ["1.10"], {}, [decimal.Decimal("1.10"), "a"]),
    ("bounded", [9], {}, [9]),
    ("variadic", [1, 2, 3], {"flag": True, "x": "y"}, [1, (2, 3), True, {"x": "y"}]),
    ("only", [1], {"b": 2, "c": 3}, [1, 2, 3]),
    ("mutable", [], {}, [[], 0]),
    ("nothing", [], {}, []),
]


@pytest.mark.parametrize(("op", "args", "kwargs", "wanted"), GOOD)
def test_good_arguments_reach_the_op(
    op: str, args: list[Any], kwargs: dict[str, Any], wanted: list[Any]
) -> None:
    checker = arguments(op)
    for _ in range(3):
        found = list(bound(op, *checker.check(args, kwargs)).values())[1:]
        assert (found, list(map(type, found))) == (wanted, list(map(type, wanted)))


def bound(op: str, args: Any, kwargs: Any) -> dict[str, Any]:
    """What each parameter gets."""
    found = inspect.signature(getattr(Ops, op)).bind(None, *args, **kwargs)
    found.apply_defaults()
    return dict(found.arguments)


def test_models_of_pydantic_follow_their_own_rules() -> None:
    (one, two), _ = arguments("models").check(
        [{"name": "a"}, {"name": "b", "children": [{"name": "c"}]}], {}
    )
    assert (one, two) == (Model(name="a"), Model(name="b", children=[Model(name="c")]))


def test_what_json_has_no_type_for_is_made_from_what_stands_for_it() -> None:
    one = uuid.UUID(int=1)
    (when, size, ids), _ = arguments("rich").check(["2024-01-02T03:04:05Z", "l", [str(one)]], {})
    assert when == datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert (size, ids) == (Size.LARGE, {one})
    (item, point), _ = arguments("typed").check([{"name": "a", "n": 1}, {"x": 1}], {})
    assert (item, point) == ({"name": "a", "n": 1}, Point(1.0))


REFUSED: list[tuple[str, list[Any], dict[str, Any], list[str]]] = [
    ("plain", ["a", "3"], {}, ["n: found '3' (str), wanted a valid integer"]),
    ("plain", ["a", True], {}, ["n: found True (bool), wanted a valid integer"]),
    ("plain", ["a", 1.0], {}, ["n: found 1.0 (float), wanted a valid integer"]),
    ("plain", ["a", 1, "2"], {}, ["f: found '2' (str), wanted a valid number"]),
    ("plain", ["a", 1, True], {}, ["f: found True (bool), wanted a valid number"]),
    ("plain", ["a"], {"b": 1}, ["b: found 1 (int), wanted a valid boolean"]),
    ("plain", ["a"], {"b": "yes"}, ["b: found 'yes' (str), wanted a valid boolean"]),
    ("plain", [3], {}, ["name: found 3 (int), wanted a valid string"]),
    ("plain", [None], {}, ["name: found None (NoneType), wanted a valid string"]),
    ("plain", [], {}, ["name: missing; give a value (plain takes name, n, f, b)"]),
    ("plain", ["a"], {"name": "b"}, ["name: given twice"]),
    ("plain", ["a"], {"z": 1}, ["z: no such argument; leave it out (plain takes name"]),
    ("plain", ["a", 1, 1.0, True, 5], {}, ["argument 5: one argument too many"]),
    ("plain", [3, "x"], {}, ["name: found 3", "n: found 'x'"]),
    ("containers", [[1, "2"], {}, [1, "x"]], {}, ["xs[1]: found '2'"]),
    ("containers", [[], {"a": "1"}, [1, "x"]], {}, ["d['a']: found '1'"]),
    ("containers", [[], {}, [1]], {}, ["t[1]: found [1] (list)"]),
    ("rich", ["x", "m", [1]], {}, ["when: found 'x'", "size: found 'm'", "ids[0]: found 1"]),
    ("money", ["1"], {"kind": "c"}, ["kind: found 'c' (str), wanted 'a' or 'b'"]),
    ("typed", [{"name": "a"}, {"x": "1"}], {}, ["item['n']: found", "point['x']: found '1'"]),
    ("bounded", [0], {}, ["n: found 0 (int), wanted greater than or equal to 1"]),
    ("variadic", [1, "x"], {}, ["argument 2: found 'x'"]),
    ("variadic", [1], {"x": 3}, ["x: found 3 (int), wanted a valid string"]),
    ("only", [], {"a": 1, "b": 2, "c": 3}, ["a: missing; give a value by position"]),
    ("only", [1, 2, 3], {}, ["c: missing; give a value by name"]),
    ("nothing", [1], {}, ["(nothing takes no arguments)"]),
]


@pytest.mark.parametrize(("op", "args", "kwargs", "texts"), REFUSED)
def test_refused_arguments_are_named(
    op: str, args: list[Any], kwargs: dict[str, Any], texts: list[str]
) -> None:
    with pytest.raises(ArgumentsError) as refused:
        arguments(op).check(args, kwargs)
    assert len(refused.value.problems) >= len(texts)
    for text in texts:
        assert text in str(refused.value), str(refused.value)
    for problem in refused.value.problems:
        assert problem.keys() == {"argument", "found", "wanted", "text"}


def test_long_values_are_cut_in_the_error() -> None:
    with pytest.raises(ArgumentsError) as refused:
        arguments("bounded").check(["x" * 100_000], {})
    assert len(str(refused.value)) < 300


def test_default_that_could_be_changed_is_made_anew_for_each_call() -> None:
    checker = arguments("mutable")
    calls: list[dict[str, Any]] = [{}, {"n": 1}]
    for kwargs in calls:
        for _ in range(2):
            items = bound("mutable", *checker.check([], kwargs))["xs"]
            assert items == []
            items.append(1)
    assert checker.exact == set()


def test_plain_scalars_need_no_validation() -> None:
    checker = arguments("plain")
    assert (str,) in checker.exact and (str, int, float, bool) in checker.exact
    assert (str, bool) not in checker.exact and () not in checker.exact
    checker.check([], {"name": "a", "n": 1})
    assert ("name", "n", str, int) in checker.exact


def test_shapes_that_are_kept_are_bounded() -> None:
    checker = arguments("anything")
    values: list[Any] = [None, 1, "a", 1.0, b"", True, [], {}]
    for value in values:
        for other in values:
            checker.check([value, other], {})
            checker.check([value], {"other": other})
            checker.check([], {"other": other, "value": value})
            checker.check([], {"value": value, "other": other})
    assert len(checker.exact) <= 256


known = functools.cache(arguments)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(), st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)


@given(
    st.sampled_from(["plain", "optional", "anything", "bare", "mutable", "only", "variadic"]),
    st.lists(VALUES, max_size=4),
    st.dictionaries(st.sampled_from("name n f b value text other xs d".split()), VALUES),
)
def test_shortcut_agrees_with_validation(op: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """What passes unvalidated is what validation would have given back."""
    results: list[Any] = []
    for checker, shortcut in ((known(op), True), (known(op), True), (known(op), False)):
        if not shortcut:
            checker.exact.clear()
        try:
            results.append(bound(op, *checker.check(args, kwargs)))
        except ArgumentsError as error:
            results.append(str(error))
    assert repr(results[0]) == repr(results[1]) == repr(results[2])
