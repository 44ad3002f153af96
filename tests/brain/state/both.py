"""Runs one change on plain Python and on a tracked tree, and compares all that shows."""

import copy
from collections.abc import Callable
from typing import Any

from osupervisor.brain.state import StateTree
from osupervisor.bridge import operations
from tests.brain.state.actions import as_lists, containers
from tests.brain.state.twins import assert_sound, packed

Act = Callable[[Any], Any]


def both(state: dict[Any, Any], act: Act) -> list[list[Any]]:
    """Run `act` on a plain copy of `state` and on a tree; the operations that the tree recorded.

    Results and errors must be alike, and so must the states after it, those of a follower and of
    the reference codec. Then it is undone: bytes and objects must be those of before.
    """
    plain = copy.deepcopy(state)
    tree, follower = StateTree(copy.deepcopy(state)), StateTree(copy.deepcopy(state))
    reference: dict[str, Any] = {"state": copy.deepcopy(state), "hot": {}}
    before, nodes = packed(tree.root, {}), containers(tree.root)
    wanted = outcome(act, plain)
    tree.begin()
    assert outcome(act, tree.root) == wanted
    ops, undo = tree.finish()
    after = packed(as_lists(plain), {})
    assert packed(tree.root, {}) == after, "the tracked tree differs from plain Python"
    assert_sound(tree)
    follower.apply(ops)
    assert packed(follower.root, {}) == after, "the follower differs"
    assert_sound(follower)
    unpacked = operations.unpack(ops)
    operations.apply(reference, unpacked)
    assert packed(reference["state"], {}) == after, "the reference differs"
    tree.rollback(undo)
    assert packed(tree.root, {}) == before, "undo leaves other bytes"
    assert all(a is b for a, b in zip(containers(tree.root), nodes, strict=True))
    assert_sound(tree)
    return unpacked


def outcome(act: Act, root: Any) -> tuple[Any, ...]:
    """What `act` returns, or the error it raises."""
    try:
        return "returned", as_lists(act(root))
    except (LookupError, TypeError, ValueError) as error:
        return type(error), str(error)
