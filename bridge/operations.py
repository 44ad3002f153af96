"""State operations: how a commit says what it changed, alike for every version and language. Pure.

A commit's operations are one MessagePack array. Each operation is an array as well:

    [opcode: uint, path: array, operand...]

    opcode        operands             the path leads to      effect
    1  SET        value                a key, or an index     map: a new key goes to the end, an
                                                              old one keeps its place
    2  DELETE     -                    a key, or an index     removed; later items move up
    3  CLEAR      -                    a map or array         all members are removed
    4  MERGE      map                  a map                  SET for each pair, in the map's order
    5  APPEND     value                an array               one more item at the end
    6  EXTEND     array                an array               more items at the end
    7  INSERT     value                an index, or length    one item before that index
    8  SPLICE     start, stop, array   an array               the operand's items in the place of
                                                              those from start to before stop
    9  REVERSE    -                    an array               the items in reverse order
    10 REORDER    array of uint        an array               new item i is the old item order[i]
    11 INCREMENT  int                  a key                  added to the integer there, or to 0

Rules
* A path begins with "state" or "hot" and then names key by key. Keys of a map are str, int or bin;
  indexes of an array are from 0 to below its length, never negative.
* Paths and values are as of the moment of the change; operations are applied in their order.
* The order of a map's keys is a part of the state.
* Values are MessagePack's nil, bool, int, float, str, bin, array and map, with the same keys.
* The two roots are maps; they are never set or deleted themselves.

`apply` is the reference on plain dicts and lists, not the fast one: it checks what it applies.
docs/formats/OPERATIONS.md has an example of each.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final, TypeGuard

from osupervisor.bridge import packing

ROOTS: Final = ("state", "hot")
INT_MIN: Final = -(2**63)
INT_MAX: Final = 2**64 - 1
"""MessagePack's integers: i64 and u64."""
DEPTH_MAX: Final = 100
"""Keys in the longest path, roots included; JSON encoders, packers and recursion bear this much."""

Key = str | int | bytes
Operation = Sequence[Any]


class Opcode(IntEnum):
    """What an operation does; the numbers never change their meaning."""

    SET = 1
    DELETE = 2
    CLEAR = 3
    MERGE = 4
    APPEND = 5
    EXTEND = 6
    INSERT = 7
    SPLICE = 8
    REVERSE = 9
    REORDER = 10
    INCREMENT = 11


class OperationError(ValueError):
    """An operation that is malformed or doesn't fit the state; `index`: its place in the array."""

    def __init__(self, reason: str, index: int = -1) -> None:
        self.reason = reason
        self.index = index
        super().__init__(reason if index < 0 else f"operation {index}: {reason}")


def pack(operations: Sequence[Operation]) -> bytes:
    """The operations as one MessagePack array. They are not validated."""
    return packing.pack([list(operation) for operation in operations])


def unpack(packed: bytes | memoryview) -> list[list[Any]]:
    """The operations in `packed`, validated in form. Raises OperationError."""
    try:
        operations = packing.unpack(packed)
    except packing.DECODE_ERRORS as error:
        raise OperationError(f"found no MessagePack array of operations: {error}") from None
    if not _is_array(operations):
        raise OperationError(f"found {_kind(operations)}, wanted an array of operations")
    for index, operation in enumerate(operations):
        try:
            validate(operation)
        except OperationError as error:
            raise OperationError(error.reason, index) from None
    return operations


def validate(operation: object) -> None:
    """Raises OperationError unless `operation` is well formed; whether it fits, `apply` finds."""
    if not _is_array(operation) or len(operation) < 2:
        raise OperationError(
            f"found {operation!r:.60}, wanted an array of opcode, path and operands"
        )
    code, path, *operands = operation
    if type(code) is not int or code not in _OPERANDS:
        raise OperationError(f"found opcode {code!r:.60}, wanted 1 to {max(Opcode)}")
    opcode = Opcode(code)
    _validate_path(opcode, path)
    wanted = _OPERANDS[opcode]
    if len(operands) != len(wanted):
        raise OperationError(f"{opcode.name} has {len(operands)} operands, wanted {len(wanted)}")
    for operand, check in zip(operands, wanted, strict=True):
        check(opcode, operand)


def apply(roots: dict[str, Any], operations: Sequence[Operation]) -> None:
    """Apply `operations` in order to `roots`, plain `{"state": {...}, "hot": {...}}`, in place.

    What a path leads to must be plain dicts and lists. Values are stored as they are, not copied.
    Raises OperationError at the first that doesn't fit; those before it stay applied.
    """
    for index, operation in enumerate(operations):
        opcode, path, *operands = operation
        try:
            if opcode in _ON_CONTAINERS:
                _ON_CONTAINERS[opcode](_walk(roots, path), *operands)
            else:
                _ON_MEMBERS[opcode](_walk(roots, path[:-1]), path[-1], *operands)
        except OperationError as error:
            raise OperationError(f"{error.reason} at {path!r:.200}", index) from None


def _walk(roots: dict[str, Any], path: Sequence[Key]) -> Any:
    here: Any = roots
    for key in path:
        if _is_array(here):
            here = here[_index(here, key, 0)]
        elif _is_map(here) and key in here:
            here = here[key]
        else:
            raise OperationError(f"nothing under {key!r:.60}")
    if not _is_map(here) and not _is_array(here):
        raise OperationError(f"found {_kind(here)}, wanted a map or an array")
    return here


def _index(items: list[Any], key: object, beyond: int) -> int:
    if type(key) is not int or not 0 <= key < len(items) + beyond:
        raise OperationError(f"index {key!r:.60} of an array of {len(items)}")
    return key


def _map(container: object) -> dict[Key, Any]:
    if not _is_map(container):
        raise OperationError(f"found {_kind(container)}, wanted a map")
    return container


def _array(container: object) -> list[Any]:
    if not _is_array(container):
        raise OperationError(f"found {_kind(container)}, wanted an array")
    return container


def _set(container: Any, key: Any, value: Any) -> None:
    if _is_array(container):
        _index(container, key, 0)
    container[key] = value


def _delete(container: Any, key: Any) -> None:
    if _is_array(container):
        _index(container, key, 0)
    elif key not in container:
        raise OperationError(f"nothing under {key!r:.60}")
    del container[key]


def _insert(container: Any, key: Any, value: Any) -> None:
    items = _array(container)
    items.insert(_index(items, key, 1), value)


def _increment(container: Any, key: Any, amount: int) -> None:
    counters = _map(container)
    before = counters.get(key, 0)
    if type(before) is not int or not INT_MIN <= before + amount <= INT_MAX:
        raise OperationError(
            f"found {before!r:.60}, wanted an integer that {amount} can be added to"
        )
    counters[key] = before + amount


def _clear(container: Any) -> None:
    container.clear()


def _merge(container: Any, pairs: dict[Key, Any]) -> None:
    _map(container).update(pairs)


def _append(container: Any, value: Any) -> None:
    _array(container).append(value)


def _extend(container: Any, values: list[Any]) -> None:
    _array(container).extend(values)


def _splice(container: Any, start: int, stop: int, values: list[Any]) -> None:
    items = _array(container)
    if not 0 <= start <= stop <= len(items):
        raise OperationError(f"items {start} to {stop} of an array of {len(items)}")
    items[start:stop] = values


def _reverse(container: Any) -> None:
    _array(container).reverse()


def _reorder(container: Any, order: list[int]) -> None:
    items = _array(container)
    if sorted(order) != list(range(len(items))):
        raise OperationError(f"found no permutation of {len(items)} items")
    items[:] = [items[index] for index in order]


_ON_MEMBERS: Final[dict[int, Callable[..., None]]] = {
    Opcode.SET: _set,
    Opcode.DELETE: _delete,
    Opcode.INSERT: _insert,
    Opcode.INCREMENT: _increment,
}
_ON_CONTAINERS: Final[dict[int, Callable[..., None]]] = {
    Opcode.CLEAR: _clear,
    Opcode.MERGE: _merge,
    Opcode.APPEND: _append,
    Opcode.EXTEND: _extend,
    Opcode.SPLICE: _splice,
    Opcode.REVERSE: _reverse,
    Opcode.REORDER: _reorder,
}


def _validate_path(opcode: Opcode, path: object) -> None:
    if not _is_array(path) or not path or path[0] not in ROOTS:
        raise OperationError(f'found path {path!r:.60}, wanted an array from "state" or "hot"')
    shortest = 2 if opcode in _ON_MEMBERS else 1
    if not shortest <= len(path) <= DEPTH_MAX:
        raise OperationError(f"found {len(path)} keys, wanted {shortest} to {DEPTH_MAX}")
    for key in path:
        if type(key) not in _KEY_TYPES:
            raise OperationError(f"found the key {key!r:.60}, wanted str, int or bin")


def _validate_value(opcode: Opcode, value: object) -> None:
    if _is_map(value):
        for key, member in value.items():
            if type(key) not in _KEY_TYPES:
                raise OperationError(f"{opcode.name}: found the key {key!r:.60}")
            _validate_value(opcode, member)
    elif _is_array(value):
        for item in value:
            _validate_value(opcode, item)
    elif type(value) not in _SCALAR_TYPES:
        raise OperationError(f"{opcode.name}: found {_kind(value)}, wanted a plain value")


def _validate_map(opcode: Opcode, value: object) -> None:
    if not _is_map(value):
        raise OperationError(f"{opcode.name}: found {_kind(value)}, wanted a map")
    _validate_value(opcode, value)


def _validate_array(opcode: Opcode, value: object) -> None:
    if not _is_array(value):
        raise OperationError(f"{opcode.name}: found {_kind(value)}, wanted an array")
    _validate_value(opcode, value)


def _validate_int(opcode: Opcode, value: object) -> None:
    if type(value) is not int:
        raise OperationError(f"{opcode.name}: found {_kind(value)}, wanted an integer")


def _validate_order(opcode: Opcode, value: object) -> None:
    if not _is_array(value):
        raise OperationError(f"{opcode.name}: found {_kind(value)}, wanted an array")
    for index in value:
        _validate_int(opcode, index)


def _is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    return type(value) is dict


def _is_array(value: object) -> TypeGuard[list[Any]]:
    return type(value) is list


def _kind(value: object) -> str:
    return type(value).__name__


_KEY_TYPES: Final = frozenset((str, int, bytes))
_SCALAR_TYPES: Final = frozenset((type(None), bool, int, float, str, bytes))
_OPERANDS: Final[dict[int, tuple[Callable[[Opcode, object], None], ...]]] = {
    Opcode.SET: (_validate_value,),
    Opcode.DELETE: (),
    Opcode.CLEAR: (),
    Opcode.MERGE: (_validate_map,),
    Opcode.APPEND: (_validate_value,),
    Opcode.EXTEND: (_validate_array,),
    Opcode.INSERT: (_validate_value,),
    Opcode.SPLICE: (_validate_int, _validate_int, _validate_array),
    Opcode.REVERSE: (),
    Opcode.REORDER: (_validate_order,),
    Opcode.INCREMENT: (_validate_int,),
}
