"""The names at the REPL's prompt: the live brain's ops as functions, and the operator's own.

An op whose name is taken (`status`, `state`, a built-in) keeps it as `brain.status`.

Each thing that is asked has a client of its own: a prompt may stand for hours between two calls,
and the service forgets a client that is silent for so long.
"""

import builtins
import inspect
import pprint
from collections.abc import Callable, Iterator
from typing import Any, cast

from osupervisor.bridge.client import Client
from osupervisor.bridge.methods import SYSTEM_CHAOS, SYSTEM_CHECKPOINT, SYSTEM_TREE

TARGETS = {"brain": "primary"}
"""What `kill` takes beside the targets of `osupervisor chaos`."""
TYPES = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": None,
}

Json = dict[str, Any]
Connect = Callable[[], Client]


def namespace(connect: Connect) -> dict[str, Any]:
    """What the prompt begins with. Asks the service which ops there are."""
    brain = Ops(connect)
    names: dict[str, Any] = {name: op for name, op in brain.ops.items() if _is_free(name)}
    return names | {
        "brain": brain,
        "state": State(connect, []),
        "status": _status(connect),
        "tree": _tree(connect),
        "checkpoint": _checkpoint(connect),
        "kill": _kill(connect),
    }


class Ops:
    """The brain's ops as attributes; those of the prompt, and those whose names are taken there."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        with connect() as client:
            schemas: dict[str, Json] = client.api()["ops"]
        self.ops = {name: _function(connect, name, schema) for name, schema in schemas.items()}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self.ops:  # new code may have come since
            self.ops |= Ops(self._connect).ops
        if name not in self.ops:
            raise AttributeError(f"the brain has no {name}; it has {', '.join(sorted(self.ops))}")
        return self.ops[name]

    def __dir__(self) -> list[str]:
        return sorted(self.ops)

    def __repr__(self) -> str:
        return f"<brain: {', '.join(sorted(self.ops))}>"


class State:
    """The state, read anew each time it is looked at: `state`, `state["bins"][0]`, `state()`."""

    def __init__(self, connect: Connect, path: list[str | int]) -> None:
        self._connect = connect
        self._path = path

    def __call__(self) -> Any:
        """The plain value."""
        with self._connect() as client:
            return client.state(self._path)

    def __getitem__(self, key: str | int) -> Any:
        part = State(self._connect, [*self._path, key])
        value = part()
        return part if isinstance(value, dict | list) else value

    def __iter__(self) -> Iterator[Any]:
        return iter(self())

    def __len__(self) -> int:
        return len(self())

    def __contains__(self, key: object) -> bool:
        return key in self()

    def _ipython_key_completions_(self) -> list[Any]:
        found = self()
        return list(cast("Json", found) if isinstance(found, dict) else range(len(found)))

    def __repr__(self) -> str:
        return pprint.pformat(self(), sort_dicts=False)


class Shown(dict[str, Any]):
    """The supervision tree: a dict that the prompt shows as a tree."""

    def __repr__(self) -> str:
        from osupervisor.supervisor.cli.tree import draw

        return "\n".join(draw(self))


def _function(connect: Connect, name: str, schema: Json) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        with connect() as client:
            return client.call(name, *args, **kwargs)

    function.__signature__ = _signature(schema)  # type: ignore[attr-defined]
    return _named(function, name, f"{schema.get('doc') or ''}\n\n({schema.get('kind', 'op')})")


def _signature(schema: Json) -> inspect.Signature:
    parameters: Json = schema.get("parameters") or {}
    required: list[str] = parameters.get("required") or []
    properties: dict[str, Json] = parameters.get("properties") or {}
    found = [_parameter(name, each, name in required) for name, each in properties.items()]
    found.sort(key=lambda each: each.default is not inspect.Parameter.empty)
    return inspect.Signature(found)


def _parameter(name: str, schema: Json, required: bool) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        default=inspect.Parameter.empty if required else schema.get("default", ...),
        annotation=TYPES.get(str(schema.get("type")), Any),
    )


def _status(connect: Connect) -> Callable[..., Any]:
    def status() -> Any:
        with connect() as client:
            return client.status()

    return _named(status, "status", "What runs, and how far it is.")


def _tree(connect: Connect) -> Callable[..., Any]:
    def tree() -> Any:
        with connect() as client:
            return Shown(client.request(SYSTEM_TREE))

    return _named(tree, "tree", "The supervision tree of the service.")


def _checkpoint(connect: Connect) -> Callable[..., Any]:
    def checkpoint() -> Any:
        with connect() as client:
            return client.request(SYSTEM_CHECKPOINT)

    return _named(checkpoint, "checkpoint", "Write a checkpoint; returns when it is durable.")


def _kill(connect: Connect) -> Callable[..., Any]:
    def kill(target: str = "brain") -> Any:
        with connect() as client:
            return client.request(SYSTEM_CHAOS, ["kill", TARGETS.get(target, target)])

    return _named(kill, "kill", 'SIGKILL: "brain" (the primary), "standby", "supervisor", "heart".')


def _named(function: Callable[..., Any], name: str, doc: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc.strip()
    return function


def _is_free(name: str) -> bool:
    return not hasattr(builtins, name)
