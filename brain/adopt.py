"""What is put into the tree: moved when it was taken out before, else copied; or refused.

A copy is made of the classes of the journal's tree, `dict_class` and `list_class`. This module
doesn't import them, as their methods use it.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from osupervisor.brain.errors import StateError
from osupervisor.brain.raw import dict_new, dict_set, dict_update, list_extend, list_new, list_set
from osupervisor.brain.spot import pack, path_of
from osupervisor.brain.values import KEYS, SCALARS, members_of, refused
from osupervisor.bridge.operations import DEPTH_MAX


def take(value: object, target: Any, place: Any, book: Any, depth: int) -> Any:
    """The node that is to stand at `place` in `target`: `value` itself when moved, else a copy.

    `depth` is that of `target`. Where it stands is left for the caller to note. Raises StateError
    when something in it is refused, and nothing has changed.
    """
    kind = type(value)
    node: Any = value
    is_node = kind is book.dict_class or kind is book.list_class
    if is_node and node._holder is book.limbo:
        _check_movable(node, target, place, depth)
    else:
        try:
            node = adopt(value, depth + 1, book)
        except (TypeError, ValueError) as error:
            raise refused(path_of(target, place), value, error) from None
    if book.loose:
        _put_back(value, book.loose)
    return node


def take_all(
    places: Iterable[Any],
    values: Collection[Any],
    target: Any,
    book: Any,
    depth: int,
    leaving: Mapping[int, Any],
) -> list[Any]:
    """The nodes and scalars that are to stand in `target` for `values`.

    `leaving`: containers that the same change takes out, by id; they are moved.
    """
    if SCALARS.issuperset(map(type, values)):
        return list(values)
    free = dict(leaving)
    moved: set[int] = set()
    taken: list[Any] = []
    for place, value in zip(places, values, strict=True):
        node = value
        if type(value) not in SCALARS and free.pop(id(value), None) is None:
            node = take(value, target, place, book, depth)
            if node is value:
                if id(value) in moved:
                    node = adopt(value, depth + 1, book)
                moved.add(id(value))
        taken.append(node)
    return taken


def pack_all(packable: Any, places: Iterable[Any], values: Iterable[Any], target: Any) -> bytes:
    """`packable`, which holds `values`, packed. Raises StateError for the one that can't be."""
    try:
        return pack(packable)
    except (OverflowError, ValueError) as error:
        for place, value in zip(places, values, strict=True):
            try:
                pack((place, value))
            except (OverflowError, ValueError):
                raise refused(path_of(target, place), value, error) from None
        raise


def note_aliases(
    operation: bytes, places: Iterable[Any], values: Collection[Any], taken: list[Any], book: Any
) -> None:
    """Remember what of `values` was copied, to find at the end whether it was changed since.

    `operation` has the path of the container that they were put into.
    """
    for place, value, node in zip(places, values, taken, strict=True):
        if node is not value:
            book.aliases.append((operation, (place,), value, pack(value)))


def adopt(value: object, depth: int, book: Any) -> Any:
    """A tracked copy of a container of any kind, `depth` keys from the top; it stands nowhere yet.

    Raises TypeError or ValueError when something in it is refused; `refused` finds what.
    """
    if depth >= DEPTH_MAX:
        raise ValueError("nested too deep")
    kind = type(value)
    if kind is dict or kind is book.dict_class:
        return _adopt_dict(value, depth, book)
    if kind is list or kind is tuple or kind is book.list_class:
        return _adopt_list(value, depth, book)
    raise TypeError("neither a scalar nor a container of the state")


def _adopt_dict(value: Any, depth: int, book: Any) -> Any:
    node = dict_new(book.dict_class)
    node._spot = None
    dict_update(node, value)
    for key, member in value.items():
        if type(key) not in KEYS:
            raise TypeError("a key is refused")
        if type(member) not in SCALARS:
            child = adopt(member, depth + 1, book)
            child._holder = node
            child._place = key
            dict_set(node, key, child)
    return node


def _adopt_list(value: Any, depth: int, book: Any) -> Any:
    node = list_new(book.list_class)
    node._spot = None
    node._shift = 0
    list_extend(node, value)
    for at, member in enumerate(node):
        if type(member) not in SCALARS:
            child = adopt(member, depth + 1, book)
            child._holder = node
            child._place = at
            list_set(node, at, child)
    return node


def _check_movable(value: Any, target: Any, place: Any, depth: int) -> None:
    above = target
    while above is not None:
        if above is value:
            raise StateError(
                path_of(target, place), "a container is put inside of itself", "store a copy"
            )
        above = above._holder
    if depth + _depth_of(value) >= DEPTH_MAX:
        raise refused(path_of(target, place), value)


def _depth_of(node: Any) -> int:
    """Levels of containers in a node, itself included."""
    levels = [_depth_of(member) for member in members_of(node) if type(member) not in SCALARS]
    return 1 + max(levels, default=0)


def _put_back(value: Any, loose: dict[int, Any]) -> None:
    """What was changed in limbo and is now put into the tree is not lost."""
    loose.pop(id(value), None)
    for member in members_of(value):
        if type(member) not in SCALARS:
            _put_back(member, loose)
