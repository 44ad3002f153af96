"""A tracked tree beside a plain twin, a follower and the reference codec; all must agree."""

from random import Random
from typing import Any

from osupervisor.brain.errors import StateError
from osupervisor.brain.journal import Undo
from osupervisor.brain.state import StateTree
from osupervisor.brain.tracked_dict import TrackedDict
from osupervisor.brain.tracked_list import TrackedList
from osupervisor.bridge import operations, packing
from tests.brain.state.actions import (
    change,
    change_hot,
    containers,
    is_container,
    is_dict,
    keep_plain,
    keep_tracked,
    members,
    store_twice,
)


def packed(state: Any, hot: Any) -> bytes:
    """State and hot as bytes; the order of keys shows, `0.0` and `-0.0` differ."""
    return packing.pack([state, hot])


def unpacked(packed_bytes: bytes) -> dict[str, Any]:
    found: Any = packing.unpack(packed_bytes)
    return {"state": found[0], "hot": found[1]}


class Twins:
    """Runs the same random requests on all of them."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.tree = StateTree({}, {})
        self.follower = StateTree({}, {})
        self.plain: dict[str, Any] = {"state": {}, "hot": {}}
        self.reference: dict[str, Any] = {"state": {}, "hot": {}}
        self.undone: list[tuple[Undo, bytes, list[Any]]] = []
        self.refused = 0

    def request(self, changes: int) -> bytes | None:
        """A request of `changes` actions; its operations, None when it was refused as a whole."""
        before = self._snapshot()
        self.tree.begin()
        done = [self._change() for _ in range(changes)]
        try:
            ops, undo = self.tree.finish()
        except StateError:
            assert store_twice in done, "refused without a reason"
            self.refused += 1
            self.tree.rollback_open()
            self._restore(before)
            return None
        self.undone.append((undo, *before))
        self.check_same()
        return ops

    def aborted(self, changes: int) -> None:
        """A request that raises after `changes` actions."""
        before = self._snapshot()
        self.tree.begin()
        for _ in range(changes):
            self._change()
        self.tree.rollback_open()
        self._restore(before)

    def confirm(self, commits: list[bytes]) -> None:
        """All commits are final: the follower and the reference apply them, undo is forgotten."""
        for ops in commits:
            self.follower.apply(memoryview(ops))
            operations.apply(self.reference, operations.unpack(ops))
        self.undone.clear()
        tree = packed(self.tree.root, self.tree.hot)
        assert packed(self.follower.root, self.follower.hot) == tree
        assert packed(self.reference["state"], self.reference["hot"]) == tree
        assert_sound(self.follower)

    def rollback(self, count: int, together: bool) -> None:
        """Undo the newest `count` requests."""
        newest = [self.undone.pop() for _ in range(count)]
        if together:
            self.tree.rollback_all([undo for undo, *_ in newest])
        else:
            for undo, bytes_before, *_ in newest:
                self.tree.rollback(undo)
                assert packed(self.tree.root, self.tree.hot) == bytes_before
        self._restore(newest[-1][1:])

    def change_roles(self) -> None:
        """The follower executes from now on, and the tree follows."""
        self.tree, self.follower = self.follower, self.tree

    def check_same(self) -> None:
        found = packed(self.tree.root, self.tree.hot)
        assert found == packed(self.plain["state"], self.plain["hot"])
        assert_sound(self.tree)

    def _change(self) -> Any:
        seed = self.rng.getrandbits(32)
        if self.rng.random() < 0.1:
            change_hot(self.tree.hot, Random(seed))
            change_hot(self.plain["hot"], Random(seed))
            return None
        change(self.plain["state"], Random(seed), keep_plain)
        return change(self.tree.root, Random(seed), keep_tracked)

    def _snapshot(self) -> tuple[bytes, list[Any]]:
        return packed(self.tree.root, self.tree.hot), containers(self.tree.root)

    def _restore(self, before: tuple[bytes, list[Any]]) -> None:
        bytes_before, nodes = before
        self.plain = unpacked(bytes_before)
        assert packed(self.tree.root, self.tree.hot) == bytes_before, "bytes after a rollback"
        now = containers(self.tree.root)
        assert len(now) == len(nodes)
        assert all(a is b for a, b in zip(now, nodes, strict=True)), "identity after a rollback"
        self.check_same()


def assert_sound(tree: Any) -> None:
    """Every container of the tree knows what holds it, and is of the right class."""
    for node in containers(tree.root):
        for key, member in members(node):
            if is_container(member):
                assert type(member) in (TrackedDict, TrackedList)
                assert member._holder is node
                assert not is_dict(node) or member._place == key
            else:
                assert type(member) in (type(None), bool, int, float, str, bytes)
