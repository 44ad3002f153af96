"""The whole state of a brain, as the run loop uses it: requests, undo, following, loading.

A primary runs `begin`, the op, `finish`; it keeps the undo until the commit is confirmed, and gives it to
`rollback` (newest first) when it is fenced. A follower runs `apply` for each commit. A query runs inside of
`read_only()`. `root` and `hot` are the same objects for the life of the tree, whatever is loaded.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from osupervisor.brain.errors import StateError
from osupervisor.brain.hot import HotTable, Mirror, new_hot_table
from osupervisor.brain.journal import Journal, Undo
from osupervisor.brain.replay import Replayer, fill_dict
from osupervisor.brain.tree import TrackedDict, TrackedList, dict_clear, dict_update, plain_dict
from osupervisor.brain.values import KEYS
from osupervisor.bridge.operations import Key

State = dict[Any, Any]
Hot = dict[Any, Any]


class StateTree:
    """A brain's state and hot table, with the journal of the request that runs on them."""

    __slots__ = ("_journal", "_mirror", "_reading", "apply", "begin", "hot", "root")

    def __init__(
        self, state: State | None = None, hot: Hot | None = None, mirror: Mirror | None = None
    ) -> None:
        """See `load`. `mirror` is called after each request that changed `hot`, with the names."""
        self._journal = journal = Journal()
        self._mirror = mirror
        self._reading = _Reading(journal)
        root: TrackedDict = dict.__new__(TrackedDict)
        root.holder = journal
        root.place = "state"
        self.root = root
        self.hot: HotTable = new_hot_table(journal)
        self.begin = journal.begin
        """Opens a request; writes are allowed until `finish` or `rollback_open`."""
        self.apply = Replayer(root, self.hot, journal).apply
        """Applies a commit's packed operations (bytes or memoryview) as a follower; not in a request.
        Raises FollowerError: the process must end."""
        self.load(state, hot)

    def load(self, state: State | None, hot: Hot | None) -> None:
        """Replace everything by copies of plain `state` and `hot`; not checked, as from a checkpoint."""
        self._journal.orders.clear()
        for node, content in ((self.root, state), (self.hot, hot)):
            dict_clear(node)
            dict_update(node, content or {})
            fill_dict(node)

    def finish(self) -> tuple[bytes, Undo]:
        """Close the request: its operations, a packed array, and what `rollback` takes.

        Raises StateError, and leaves the request open for `rollback_open`, when a change would be
        lost without a word: a container changed by its old name after it was stored or taken out.
        """
        done = self._journal.finish()
        if self.hot.changed:
            self._tell_mirror()
        return done

    def rollback_open(self) -> None:
        """Undo and close the running request; nothing happens when there is none."""
        self._journal.rollback_open()
        self.hot.changed.clear()

    def rollback(self, undo: Undo) -> None:
        """Undo a finished request: the newest that isn't undone yet."""
        self.rollback_all([undo])

    def rollback_all(self, undos: Sequence[Undo]) -> None:
        """Undo finished requests, `undos` newest first; cheaper than one by one."""
        hot = self.hot
        hot.changed.update(hot)
        self._journal.rollback(undos)
        hot.changed.update(hot)
        self._tell_mirror()

    def read_only(self) -> AbstractContextManager[None]:
        """The context of a query: a write raises WriteInQueryError."""
        return self._reading

    def resolve(self, path: Sequence[Any]) -> Any:
        """What stands at `path` below the state's root, a scalar or a node; `[]` is the root.

        Raises StateError naming the path when nothing does.
        """
        here: Any = self.root
        for depth, key in enumerate(path):
            if not _has(here, key):
                raise StateError(
                    ("state", *path[:depth]), f"nothing under {key!r:.60}", _what_is(here)
                )
            here = here[key]
        return here

    def plain(self) -> tuple[State, Hot]:
        """A deep copy of plain dicts and lists: state and hot, as `load` takes them."""
        return plain_dict(self.root), plain_dict(self.hot)

    def _tell_mirror(self) -> None:
        changed = self.hot.changed
        if self._mirror is not None and changed:
            self._mirror(changed)
        changed.clear()


class _Reading:
    """The context of a query. One per tree; a generator's context manager takes 1 us a use."""

    __slots__ = ("_journal",)

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        self._journal.start_reading()

    def __exit__(self, *_raised: object) -> None:
        self._journal.stop_reading()


def _has(here: Any, key: Any) -> bool:
    if isinstance(here, TrackedList):
        return type(key) is int and 0 <= key < len(here)
    return isinstance(here, TrackedDict) and type(key) in KEYS and key in here


def _what_is(here: Any) -> str:
    if isinstance(here, TrackedDict):
        return f"a dict of {len(here)} keys: " + ", ".join(
            f"{key!r:.40}" for key in islice(here, 8)
        )
    if isinstance(here, TrackedList):
        return f"a list of {len(here)} items"
    return f"found {type(here).__name__}, which has no members"
