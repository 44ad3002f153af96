"""The schema that clients are told: it is JSON schema, and holds for what the op takes."""

import json
from typing import Annotated, Any, Literal

import annotated_types
import pydantic

from osupervisor.brain import Brain, evolvable, gene, op, query, schema
from osupervisor.brain.packing import decode, encode
from osupervisor.brain.program import compile_program


class Order(pydantic.BaseModel):
    """What is ordered."""

    item: str
    parts: list["Order"] = []


class Shop(Brain):
    """Sells."""

    slack = gene(0.25, low=0.0, high=1.0)

    @op
    def order(
        self,
        order: Order,
        n: Annotated[int, annotated_types.Ge(1)] = 1,
        *rest: str,
        color: Literal["red", "blue"] | None = None,
        **more: int,
    ) -> dict[str, Order]:
        """Take an order.

        More of it.
        """
        return {}

    @query
    def anything(self, what) -> None:  # type: ignore[no-untyped-def]
        ...

    @op
    def unsayable(self, n: int = 3) -> "Shop":
        return self

    @evolvable
    def weigh(self, n: int) -> float:
        """Weighs."""
        return n / 2


def described() -> dict[str, Any]:
    return schema.describe(compile_program(Shop, "shop.py:Shop"))


def test_op_is_described_by_json_schema() -> None:
    found = described()["ops"]["order"]
    assert found["kind"] == "op"
    assert found["doc"] == "Take an order.\n\nMore of it."
    parameters = found["parameters"]
    assert list(parameters["properties"]) == ["order", "n", "rest", "color"]
    assert parameters["required"] == ["order"]
    assert parameters["additionalProperties"] == {"type": "integer"}
    assert parameters["properties"]["n"] == {"type": "integer", "minimum": 1, "default": 1}
    assert parameters["properties"]["order"] == {"$ref": "#/definitions/Order"}
    assert parameters["properties"]["rest"]["items"] == {"type": "string"}
    assert found["result"]["additionalProperties"] == {"$ref": "#/definitions/Order"}


def test_definitions_are_shared() -> None:
    definitions = described()["definitions"]
    assert list(definitions) == ["Order"]
    assert definitions["Order"]["properties"]["parts"]["items"] == {"$ref": "#/definitions/Order"}


def test_what_has_no_annotation_may_be_anything() -> None:
    found = described()["ops"]["anything"]
    assert found["kind"] == "query"
    assert found["parameters"]["properties"] == {"what": {}}
    assert found["result"] == {"type": "null"}


def test_result_that_cannot_be_described_hides_nothing_else() -> None:
    found = described()["ops"]["unsayable"]
    assert found["result"] == {}
    assert found["parameters"]["properties"]["n"] == {"type": "integer", "default": 3}


def test_genes_and_evolvables_are_told() -> None:
    found = described()
    assert found["genes"] == {"slack": {"default": 0.25, "low": 0.0, "high": 1.0}}
    assert found["evolvables"]["weigh"] == {
        "doc": "Weighs.",
        "signature": "(self, n: int) -> float",
        "source": "@evolvable\ndef weigh(self, n: int) -> float:\n"
        '    """Weighs."""\n    return n / 2\n',
    }
    assert (found["target"], found["doc"]) == ("shop.py:Shop", "Sells.")


def test_schema_is_json_and_messagepack() -> None:
    found = described()
    assert json.loads(json.dumps(found)) == found
    assert decode(encode(found)) == found


def test_a_class_that_says_nothing_of_itself_has_no_words_of_its_base() -> None:
    class Silent(Brain):
        @op
        def nothing(self) -> None: ...

    assert schema.describe(compile_program(Silent, "silent.py:Silent"))["doc"] == ""
