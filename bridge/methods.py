"""The methods that a client can call: their names, params and results as JSON schemas.

    kernel.*   about the connection and the protocol
    brain.*    asks the brain
    system.*   asks or tells the supervisor

Params are always an array; `params` describes its items in order, those from `required` on may be
left out. `kernel.api` gives this table to clients, with the brain's own ops beside it. What can't
be said in JSON (a binary key in a path) is allowed where the schema is `{}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from osupervisor.bridge.errors import RemoteProtocolError, shown

PROTOCOL_VERSION: Final = 1

KERNEL_HELLO: Final = "kernel.hello"
KERNEL_PING: Final = "kernel.ping"
KERNEL_API: Final = "kernel.api"
BRAIN_CALL: Final = "brain.call"
BRAIN_STATE: Final = "brain.state"
SYSTEM_STATUS: Final = "system.status"
SYSTEM_TREE: Final = "system.tree"
SYSTEM_GET_METRICS: Final = "system.get_metrics"
SYSTEM_CHECKPOINT: Final = "system.checkpoint"
SYSTEM_CHECKPOINTS: Final = "system.checkpoints"
SYSTEM_WAL: Final = "system.wal"
SYSTEM_CRASHES: Final = "system.crashes"
SYSTEM_DEADLETTER: Final = "system.deadletter"
SYSTEM_CHAOS: Final = "system.chaos"
SYSTEM_STOP: Final = "system.stop"

Schema = dict[str, object]

_TEXT: Final[Schema] = {"type": "string"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_MAP: Final[Schema] = {"type": "object"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_MAPS: Final[Schema] = {"type": "array", "items": _MAP}


@dataclass(frozen=True, slots=True)
class Method:
    """One method. `params`: the schemas of its positional params."""

    name: str
    summary: str
    result: Schema
    params: tuple[tuple[str, Schema], ...] = ()
    required: int = 0
    """How many params, from the first on, can't be left out."""
    repeatable: bool = True
    """Whether a client may send it again when a connection broke before the answer."""

    def describe(self) -> Schema:
        """The method as `kernel.api` shows it: a JSON schema of its params and of its result."""
        return {
            "summary": self.summary,
            "params": {
                "type": "array",
                "prefixItems": [{"title": name, **schema} for name, schema in self.params],
                "minItems": self.required,
                "maxItems": len(self.params),
            },
            "result": self.result,
        }


OPTIONS_SCHEMA: Final[Schema] = {
    "type": "object",
    "properties": {
        "key": {
            "description": "idempotency key; absent: executed once per arrival",
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": 128},
                {
                    "type": "array",
                    "description": "[client: string or binary of 1 to 64 bytes, number]",
                    "prefixItems": [{}, _COUNT],
                    "minItems": 2,
                    "maxItems": 2,
                },
            ],
        },
        "seen": {**_COUNT, "description": "every answer below this number has arrived"},
        "session": {"type": "string", "minLength": 1, "maxLength": 128},
        "timeout_s": {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400},
        "durability": {"enum": ["everysec", "always"]},
    },
    "additionalProperties": False,
}

_ALL: Final = (
    Method(
        KERNEL_HELLO,
        "Tells the service's clock. Required over TCP, where it carries the token and comes first.",
        {
            "type": "object",
            "properties": {
                "service": _TEXT,
                "version": _TEXT,
                "protocol": _COUNT,
                "frame_bytes_max": _COUNT,
                "now_us": _COUNT,
            },
        },
        params=(
            (
                "client",
                {
                    "type": "object",
                    "properties": {"token": _TEXT, "client": _TEXT, "protocol": _COUNT},
                    "additionalProperties": False,
                },
            ),
        ),
    ),
    Method(KERNEL_PING, "Answers without asking the brain.", {"const": "pong"}),
    Method(
        KERNEL_API,
        "Every method, and every op of the brain, with their JSON schemas.",
        {
            "type": "object",
            "properties": {"protocol": _COUNT, "methods": _MAP, "ops": _MAP, "brain": _MAP},
        },
    ),
    Method(
        BRAIN_CALL,
        "Calls an op or a query of the brain.",
        {},
        params=(
            ("op", {"type": "string", "minLength": 1, "maxLength": 128}),
            ("args", {"type": "array"}),
            ("kwargs", _MAP),
            ("options", OPTIONS_SCHEMA),
        ),
        required=4,
    ),
    Method(
        BRAIN_STATE,
        "The part of the brain's state at a path: an array of keys, [] for all of it.",
        {},
        params=(("path", {"type": "array", "items": {}, "maxItems": 256}),),
        required=1,
    ),
    Method(SYSTEM_STATUS, "What runs, how far the log is, how long it has been up.", _MAP),
    Method(SYSTEM_TREE, "The supervision tree: each child, its kind, process and state.", _MAP),
    Method(SYSTEM_GET_METRICS, "The metrics in Prometheus' text format.", _TEXT),
    Method(
        SYSTEM_CHECKPOINT,
        "Writes a checkpoint now; answers when it is durable.",
        {"type": "object", "properties": {"lsn": _COUNT}},
        repeatable=False,
    ),
    Method(SYSTEM_CHECKPOINTS, "The kept checkpoints, newest first.", _MAPS),
    Method(SYSTEM_WAL, "The names of the log's segments, oldest first.", _TEXTS),
    Method(
        SYSTEM_CRASHES,
        "Deaths of processes: all in short, or one report in full.",
        {"anyOf": [_MAPS, _MAP]},
        params=(("action", {"enum": ["ls", "show"]}), ("id", _TEXT)),
        required=1,
    ),
    Method(
        SYSTEM_DEADLETTER,
        "Quarantined requests: lists, shows, calls again under a new key, or forgets.",
        {},
        params=(("action", {"enum": ["ls", "show", "retry", "drop"]}), ("id", _TEXT)),
        required=1,
        repeatable=False,
    ),
    Method(
        SYSTEM_CHAOS,
        "Harms a process on purpose: SIGKILL, SIGSTOP, or an endless loop.",
        {"type": "object", "properties": {"target": _TEXT, "pid": _COUNT}},
        params=(
            ("action", {"enum": ["kill", "stop", "hang"]}),
            ("target", {"enum": ["primary", "standby", "supervisor", "heart"]}),
        ),
        required=2,
        repeatable=False,
    ),
    Method(SYSTEM_STOP, "Stops the service; answers when it has begun.", _MAP, repeatable=False),
)

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in _ALL}


def describe_methods() -> Schema:
    """`methods` of `kernel.api`."""
    return {name: method.describe() for name, method in METHODS.items()}


def check_params(name: str, params: list[object], request_id: int) -> None:
    """Raises RemoteProtocolError when there is no such method or its params don't fit.

    Not for `brain.call`, which `call.parse_call` checks on its way.
    """
    method = METHODS.get(name)
    if method is None:
        raise RemoteProtocolError(
            f"there is no method {name!r:.140}", "kernel.api lists them all", request_id
        )
    fault = ""
    if not method.required <= len(params) <= len(method.params):
        fault = f"takes {method.required} to {len(method.params)} params, found {len(params)}"
    for (title, schema), value in zip(method.params, params, strict=False):
        fault = fault or find_fault(schema, value, title)
    if fault:
        raise RemoteProtocolError(
            f"{name}: {fault}", "kernel.api gives the schema of its params", request_id
        )


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "array": (list,),
    "object": (dict,),
}


def find_fault(schema: Mapping[str, object], value: object, where: str) -> str:
    """What is wrong with `value`, or "". Knows as much of JSON Schema as METHODS uses."""
    kind = schema.get("type")
    if isinstance(kind, str) and (not isinstance(value, _TYPES[kind]) or isinstance(value, bool)):
        return f"{where} must be of type {kind}, found {shown(value, 60)}"
    choices = schema.get("enum")
    if isinstance(choices, list) and value not in cast("list[object]", choices):
        return f"{where} must be one of {choices}, found {shown(value, 60)}"
    if isinstance(value, int) and "minimum" in schema and value < cast(int, schema["minimum"]):
        return f"{where} must be at least {schema['minimum']}, found {value}"
    if isinstance(value, list) and "maxItems" in schema:
        found = len(cast("list[object]", value))
        if found > cast(int, schema["maxItems"]):
            return f"{where} has at most {schema['maxItems']} items, found {found}"
    if isinstance(value, dict) and "properties" in schema:
        return _find_fault_in_map(schema, cast("dict[object, object]", value), where)
    return ""


def _find_fault_in_map(
    schema: Mapping[str, object], value: dict[object, object], where: str
) -> str:
    properties = cast("dict[object, Schema]", schema["properties"])
    for key, item in value.items():
        if key in properties:
            fault = find_fault(properties[key], item, f"{where}.{key}")
            if fault:
                return fault
        elif schema.get("additionalProperties") is False:
            return f"{where} has no {shown(key, 60)}, only {', '.join(map(str, properties))}"
    return ""
