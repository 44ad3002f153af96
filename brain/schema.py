"""What a brain can be asked, as data: schemas of its ops and queries, its genes and evolvables.

The map goes to the supervisor in `ready` and from there to `kernel.api`:

    {"target": "brain:Counter", "doc": "...",
     "ops": {"add": {"kind": "op", "doc": "...", "parameters": {schema}, "result": {schema}}},
     "genes": {"slack": {"default": 0.25, "low": 0.0, "high": 1.0}},
     "evolvables": {"priority": {"doc": "...", "signature": "(self, item: int) -> list[float]",
                                 "source": "..."}},
     "definitions": {...}}

`parameters` is the schema of an object; positional arguments are its properties in their order. A
reference in any of them points to `#/definitions/...` of the whole map.
"""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, Final, Literal, get_type_hints

from pydantic import PydanticUserError, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from osupervisor.brain.program import Op, Program

DOC_CHARACTERS_MAX: Final = 2_000
_REFERENCES: Final = "#/definitions/{model}"
_UNSAYABLE: Final = (PydanticUserError, PydanticInvalidForJsonSchema, NameError, TypeError)

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]


def describe(program: Program) -> Schema:
    """The schema of a program; it can be packed as MessagePack."""
    definitions: Schema = {}
    return {
        "target": program.target,
        "doc": _doc(program.cls),
        "ops": {name: _describe_op(op, definitions) for name, op in program.ops.items()},
        "genes": {
            name: {"default": gene.default, "low": gene.low, "high": gene.high}
            for name, gene in program.genes.items()
        },
        "evolvables": {n: _describe_evolvable(f) for n, f in program.evolvables.items()},
        "definitions": definitions,
    }


def _describe_op(op: Op, definitions: Schema) -> Schema:
    hints = _hints(op.function)
    properties: Schema = {}
    required: list[str] = []
    extra: bool | Schema = False
    for parameter in list(inspect.signature(op.function).parameters.values())[1:]:
        schema = _schema(hints.get(parameter.name, Any), "validation", definitions)
        if parameter.kind is parameter.VAR_KEYWORD:
            extra = schema
            continue
        if parameter.kind is parameter.VAR_POSITIONAL:
            schema = {"type": "array", "items": schema, "description": "the other arguments"}
        elif parameter.default is parameter.empty:
            required.append(parameter.name)
        else:
            schema = _with_default(schema, parameter.default)
        properties[parameter.name] = schema
    return {
        "kind": op.kind,
        "doc": _doc(op.function),
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": extra,
        },
        "result": _schema(hints.get("return", Any), "serialization", definitions),
    }


def _describe_evolvable(function: Callable[..., Any]) -> Schema:
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        source = ""
    return {
        "doc": _doc(function),
        "signature": str(inspect.signature(function)),
        "source": source,
    }


def _schema(annotation: Any, mode: Mode, definitions: Schema) -> Schema:
    """The JSON schema of an annotation; `{}` (anything) where it has none."""
    try:
        schema = TypeAdapter(annotation).json_schema(ref_template=_REFERENCES, mode=mode)
    except _UNSAYABLE:
        return {}
    definitions.update(schema.pop("$defs", {}))
    return schema


def _with_default(schema: Schema, default: object) -> Schema:
    plain = default is None or isinstance(default, bool | int | float | str)
    return {**schema, "default": default} if plain else schema


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return {}


def _doc(thing: Any) -> str:
    """Its own docstring: what its base says of itself is not about this one."""
    return inspect.cleandoc(thing.__doc__ or "")[:DOC_CHARACTERS_MAX]
