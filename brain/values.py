"""What the state may hold, and the error that says what was refused, where, and what to do instead.

Keys are exactly str, int or bytes: `True` and `1.0` are other spellings of `1` to a dict, but not
to a log. Scalars are exactly None, bool, int (64 bits), float, str and bytes. Containers are
exactly dict, list and tuple (which becomes a list), or nodes of a state tree. Subclasses such as
enums and numpy's scalars are refused: a follower would get the plain value back.
"""

from collections.abc import Collection, Iterable
from enum import Enum
from typing import Any, Final, TypeGuard, TypeVar

from osupervisor.brain.errors import Path, StateError
from osupervisor.bridge.operations import DEPTH_MAX, INT_MAX, INT_MIN, Key

KEYS: Final = frozenset((str, int, bytes))
SCALARS: Final = frozenset((str, int, float, bool, bytes, type(None)))

T = TypeVar("T")


def python_class(cls: T) -> T:
    """For a subclass of dict or list, which mypyc can't make: a class that carries a decorator it
    leaves to Python, and compiles the methods alone.
    """
    return cls


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()


MISSING: Final[Any] = Missing()
"""Stands for the value of a key that isn't there."""


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """A dict or a subclass."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """A list or a subclass."""
    return isinstance(value, list)


def members_of(container: Any) -> Collection[Any]:
    """The values of a dict, the items of a list or tuple."""
    return container.values() if is_dict(container) else container


def refused_key(path: Iterable[Key], key: object) -> StateError:
    """The error for a key that is no str, int or bytes, under the container at `path`."""
    return StateError(
        tuple(path),
        f"found the key {_shown(key)} ({_type_name(key)})",
        f"keys are exactly str, int or bytes: {_key_hint(key)}",
    )


def refused(path: Iterable[Key], value: object, cause: Exception | None = None) -> StateError:
    """The error for `value`, to be stored at `path`: names the innermost thing that is refused.

    `cause` is what packing raised; it is told when no single culprit is found.
    """
    whole = tuple(path)
    found = _find(whole, value, set())
    if found is None:
        found = StateError(whole, f"found {_type_name(value)} that can't be packed: {cause}")
    return found


def _find(path: Path, value: Any, above: set[int]) -> StateError | None:
    if not _is_container(value):
        return _find_scalar(path, value)
    if id(value) in above:
        return StateError(path, "a container holds itself", "the state is a tree: store a copy")
    if len(path) >= DEPTH_MAX:
        hint = "keep the records in a flat dict, and their keys in place of them"
        return StateError(path[:8], f"nested deeper than {DEPTH_MAX} levels", hint)
    above.add(id(value))
    for key, member in value.items() if is_dict(value) else enumerate(value):
        if type(key) not in KEYS:
            return refused_key(path, key)
        found = _find_scalar(path, key) or _find((*path, key), member, above)
        if found is not None:
            return found
    above.discard(id(value))
    return None


def _find_scalar(path: Path, value: object) -> StateError | None:
    if type(value) is int and not INT_MIN <= value <= INT_MAX:
        return StateError(
            path,
            f"found an int of {value.bit_length()} bits, wanted -2**63 to 2**64 - 1",
            "store it as str(n) or bytes",
        )
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return StateError(
                path,
                f"found a str that is no UTF-8: {error.reason} at {error.start}",
                'store value.encode("utf-8", "surrogateescape"), which is bytes',
            )
    if type(value) in SCALARS:
        return None
    return StateError(
        path,
        f"found {_type_name(value)}",
        f"the state holds None, bool, int, float, str, bytes, dict and list: {_hint(value)}",
    )


def _is_container(value: object) -> bool:
    """Plain, or tracked; their subclasses (`hot` is one) are refused like any other type."""
    kind = type(value)
    tracked = hasattr(kind, "_holder") and kind.__mro__[1] in (dict, list)
    return tracked or kind in (dict, list, tuple)


def _key_hint(key: object) -> str:
    if isinstance(key, Enum):
        return "store key.value or key.name"
    for wanted in (bool, int, float, str, bytes):
        if isinstance(key, wanted):
            name = "int or str" if wanted in (bool, int, float) else wanted.__name__
            return f"convert it with {name}"
    return "join its parts to a str"


def _hint(value: object) -> str:
    if isinstance(value, Enum):
        return "store value.value or value.name"
    if isinstance(value, set | frozenset):
        return "store a sorted list, or a dict with the members as keys"
    if isinstance(value, bytearray | memoryview):
        return "store bytes(value)"
    if hasattr(value, "__dataclass_fields__"):
        return "store dataclasses.asdict(value)"
    if hasattr(value, "model_dump"):
        return "store value.model_dump()"
    if hasattr(value, "isoformat"):
        return "store value.isoformat() or a number of seconds"
    if hasattr(value, "tolist"):
        return "store value.tolist()"
    for wanted in (bool, int, float, str, bytes, dict, list, tuple):
        if isinstance(value, wanted):
            return f"store {'list' if wanted is tuple else wanted.__name__}(value)"
    return "convert it"


def _type_name(value: object) -> str:
    kind = type(value)
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _shown(value: object) -> str:
    try:
        return f"{value!r:.60}"
    except Exception:
        return "?"
