"""Random changes that run alike on a tracked tree and on plain dicts and lists.

Each action is called twice with equal random numbers, once for each kind; as both trees are equal,
it does the same to both. `keep` is what the plain side stores in the place of a container that
stands in the tree already: a copy, as the tracked tree makes one.
"""

import copy
import math
from bisect import insort
from collections.abc import Callable
from random import Random
from typing import Any, TypeGuard

from osupervisor.brain.values import members_of

Keep = Callable[[Any], Any]
Action = Callable[[Any, Random, Keep], None]

KEYS: list[Any] = ["a", "b", "name", "ключ", "", 0, 1, -5, 2**40, b"raw", b"\x00"]
SCALARS: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2**63,
    -(2**63),
    0.0,
    -0.0,
    1.5,
    math.inf,
    "",
    "text",
    "x" * 40,
    "ü",
    b"",
    b"\xff",
]
NODES_MAX = 40
CONTAINERS = (dict, list)


def is_container(value: object) -> bool:
    return isinstance(value, CONTAINERS)


def is_array(value: object) -> bool:
    return isinstance(value, list | tuple)


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


def members(node: Any) -> list[tuple[Any, Any]]:
    """Keys or indexes, and what stands there."""
    if is_dict(node):
        return list(node.items())
    items: list[Any] = node
    return list(enumerate(items))


def containers(root: Any) -> list[Any]:
    """All containers from the root down, in an order that equal trees share."""
    found: list[Any] = [root]
    for node in found:
        found += [member for member in members_of(node) if isinstance(member, CONTAINERS)]
    return found


def scalar(rng: Random) -> Any:
    return rng.choice(SCALARS)


def value(rng: Random, depth: int = 0) -> Any:
    """A scalar or a small plain container."""
    kind = rng.random()
    if kind < 0.5 or depth > 2:
        return scalar(rng)
    size = rng.randrange(4)
    if kind < 0.75:
        return {rng.choice(KEYS): value(rng, depth + 1) for _ in range(size)}
    items = [value(rng, depth + 1) for _ in range(size)]
    return tuple(items) if kind > 0.95 else items


def as_lists(found: Any) -> Any:
    """Tuples as lists, as the state holds them."""
    if is_dict(found):
        return {key: as_lists(member) for key, member in found.items()}
    return [as_lists(member) for _, member in members(found)] if is_array(found) else found


def keep_plain(found: Any) -> Any:
    return as_lists(copy.deepcopy(found))


def keep_tracked(found: Any) -> Any:
    return found


def a_dict(root: Any, rng: Random) -> Any:
    return rng.choice([node for node in containers(root) if is_dict(node)])


def a_list(root: Any, rng: Random) -> Any:
    lists = [node for node in containers(root) if not is_dict(node)]
    return rng.choice(lists) if lists else None


def put(root: Any, rng: Random, found: Any, avoid: Any = None) -> None:
    """Store `found` somewhere; never below `avoid`."""
    below = {id(node) for node in containers(avoid)} if avoid is not None else set[int]()
    targets = [node for node in containers(root) if id(node) not in below]
    target = rng.choice(targets)
    if is_dict(target):
        target[rng.choice(KEYS)] = found
    elif rng.random() < 0.5:
        target.append(found)
    else:
        target.insert(rng.randrange(-2, len(target) + 3), found)


def put_value(root: Any, rng: Random, keep: Keep) -> None:
    put(root, rng, keep(value(rng)))


def set_key(root: Any, rng: Random, keep: Keep) -> None:
    a_dict(root, rng)[rng.choice(KEYS)] = scalar(rng)


def delete_key(root: Any, rng: Random, keep: Keep) -> None:
    node = a_dict(root, rng)
    if node:
        del node[rng.choice(list(node))]


def pop_key(root: Any, rng: Random, keep: Keep) -> None:
    a_dict(root, rng).pop(rng.choice(KEYS), None)


def pop_item(root: Any, rng: Random, keep: Keep) -> None:
    node = a_dict(root, rng)
    if node:
        node.popitem()


def set_default(root: Any, rng: Random, keep: Keep) -> None:
    default = keep(value(rng))
    a_dict(root, rng).setdefault(rng.choice(KEYS), default)


def update(root: Any, rng: Random, keep: Keep) -> None:
    node = a_dict(root, rng)
    changes = {rng.choice(KEYS): keep(value(rng)) for _ in range(rng.randrange(4))}
    form = rng.randrange(4)
    if form == 0:
        node.update(changes)
    elif form == 1:
        node.update(list(changes.items()), extra=1)
    elif form == 2:
        node.update(first=1, second=scalar(rng))
    else:
        node |= changes


def clear(root: Any, rng: Random, keep: Keep) -> None:
    if rng.random() < 0.3:
        rng.choice(containers(root)).clear()


def append(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node is not None:
        node.append(keep(value(rng)))


def set_item(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node:
        node[rng.randrange(-len(node), len(node))] = keep(value(rng))


def delete_item(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node:
        form = rng.randrange(4)
        if form == 0:
            del node[rng.randrange(-len(node), len(node))]
        elif form == 1:
            node.pop(rng.randrange(-len(node), len(node)))
        elif form == 2:
            node.pop()
        else:
            node.remove(rng.choice(node))


def extend(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node is None:
        return
    items = [keep(value(rng)) for _ in range(rng.randrange(4))]
    form = rng.randrange(3)
    if form == 0:
        node.extend(iter(items))
    elif form == 1:
        node += tuple(items)
    elif len(node) < 6:
        count = rng.randrange(4)
        if count > 1 and any(is_container(item) for item in node):
            node.extend([copy.deepcopy(item) for item in list(node) * (count - 1)])
        else:
            node *= count


def a_slice(node: Any, rng: Random) -> slice:
    bounds = [None, *range(-len(node) - 1, len(node) + 2)]
    step = rng.choice([None, None, 1, 2, -1, -2, 3])
    return slice(rng.choice(bounds), rng.choice(bounds), step)


def set_slice(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node is None:
        return
    where = a_slice(node, rng)
    if where.step in (None, 1):
        node[where] = [keep(value(rng)) for _ in range(rng.randrange(4))]
    else:
        node[where] = [keep(value(rng)) for _ in node[where]]


def delete_slice(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node is not None:
        del node[a_slice(node, rng)]


def reorder(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node is None:
        return
    form = rng.randrange(5)
    if form == 0:
        node.reverse()
    elif form == 1:
        node.sort(key=size_of, reverse=rng.random() < 0.5)
    elif form == 2:
        node[:] = sorted(node, key=repr)
    elif form == 3:
        node[:] = [item for item in node if rng.random() < 0.7]
    else:
        rng.shuffle(node)


def size_of(item: object) -> int:
    return len(repr(item))


def swap(root: Any, rng: Random, keep: Keep) -> None:
    node = a_list(root, rng)
    if node and len(node) > 1:
        i, j = rng.randrange(len(node)), rng.randrange(len(node))
        node[i], node[j] = node[j], node[i]


def insert_sorted(root: Any, rng: Random, keep: Keep) -> None:
    numbers = root.setdefault("numbers", [])
    if not is_dict(numbers) and is_container(numbers) and all(type(n) is int for n in numbers):
        insort(numbers, rng.randrange(100))


def take_out(root: Any, rng: Random) -> Any:
    """Take a container out of the tree; None when there is none."""
    holders = [
        (node, key)
        for node in containers(root)
        for key, member in members(node)
        if is_container(member)
    ]
    if not holders:
        return None
    node, key = rng.choice(holders)
    return node.pop(key)


def move(root: Any, rng: Random, keep: Keep) -> None:
    """Take a container out, change it, put it elsewhere; sometimes inside of a plain one."""
    found = take_out(root, rng)
    if found is None:
        return
    if rng.random() < 0.5:
        put(found, rng, keep(value(rng)))
    if rng.random() < 0.3:
        put(root, rng, keep({"wrapped": found}))
    else:
        put(root, rng, found)
        if rng.random() < 0.5:
            put(found, rng, scalar(rng))


def copy_within(root: Any, rng: Random, keep: Keep) -> None:
    """Store a copy of what stands in the tree."""
    put(root, rng, copy.deepcopy(rng.choice(containers(root))))


def store_twice(root: Any, rng: Random, keep: Keep) -> None:
    """Store what stands in the tree in a second place: the one action that may be refused."""
    if rng.random() < 0.2:
        put(root, rng, keep(rng.choice(containers(root))))


ACTIONS: list[Action] = [
    put_value,
    put_value,
    set_key,
    set_key,
    delete_key,
    pop_key,
    pop_item,
    set_default,
    update,
    clear,
    append,
    append,
    set_item,
    delete_item,
    extend,
    set_slice,
    delete_slice,
    reorder,
    swap,
    insert_sorted,
    move,
    copy_within,
    store_twice,
]
SHRINKING: list[Action] = [delete_key, pop_item, delete_item, delete_slice, clear]


def change(root: Any, rng: Random, keep: Keep) -> Action:
    """One random action; only shrinking ones while the tree is large."""
    choice = rng.choice(SHRINKING if len(containers(root)) > NODES_MAX else ACTIONS)
    choice(root, rng, keep)
    return choice


def change_hot(hot: Any, rng: Random) -> None:
    name = rng.choice(["served", "failed", "load"])
    form = rng.random()
    if form < 0.6:
        hot[name] = (hot.get(name, 0) if type(hot.get(name)) is not float else 0) + rng.randrange(9)
    elif form < 0.8:
        hot[name] = rng.random()
    elif form < 0.95:
        hot.pop(name, None)
    else:
        hot.clear()
