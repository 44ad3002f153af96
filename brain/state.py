"""The whole state of a brain, as the run loop uses it: requests, undo, following, loading.

A primary runs `begin`, the op, `finish`; it keeps the undo until the commit is confirmed, and gives
it to `rollback` (newest first) when it is fenced. A follower runs `apply` for each commit. A query
runs inside of `read_only()`. `root` and `hot` are the same objects for the life of the tree,
whatever is loaded.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from osupervisor.brain.errors import StateError
from osupervisor.brain.hot import HotTable, new_hot_table
from osupervisor.brain.journal import Journal, Mirror, Undo
from osupervisor.brain.plain import plain_dict
from osupervisor.brain.raw import dict_clear, dict_new, dict_update
from osupervisor.brain.replay import Replayer, wrap_members
from osupervisor.brain.spot import root_spot
from osupervisor.brain.tracked_dict import TrackedDict
from osupervisor.brain.tracked_list import TrackedList
from osupervisor.brain.values import KEYS, SCALARS
from osupervisor.bridge.errors import shown

State = dict[Any, Any]
Hot = dict[Any, Any]


class StateTree:
    """A brain's state and hot table, with the journal of the request that runs on them.

    `begin`, `finish`, `rollback_open` and `rollback_all` are the journal's methods, `apply` and
    `apply_all` are the replayer's: as attributes they cost no second call. What runs per request
    calls those of `journal`.
    """

    __slots__ = (
        "apply",
        "apply_all",
        "begin",
        "finish",
        "hot",
        "journal",
        "rollback_all",
        "rollback_open",
        "root",
    )

    journal: Journal
    root: TrackedDict
    """What an op knows as `self.state`."""
    hot: HotTable
    """What an op knows as `self.hot`."""
    begin: Callable[[], None]
    """Open a request: until `finish` or `rollback_open` writes are allowed."""
    finish: Callable[[], tuple[bytes, Undo]]
    """Close the request: its operations as a packed array (`b"\\x90"`: none), and its undo.

    Raises StateError naming the path, and leaves the request open for `rollback_open`, when a
    change would be lost: a container was changed by its old name after it was stored or taken out.
    """
    rollback_open: Callable[[], None]
    """Undo and close the running request; does nothing when there is none."""
    rollback_all: Callable[[Sequence[Undo]], None]
    """Undo finished requests, newest first; cheaper than one by one."""
    apply: Callable[[bytes | memoryview], None]
    """Apply a commit's operations as a follower, outside of requests. Raises FollowerError."""
    apply_all: Callable[[Sequence[bytes], int], None]
    """The same for many commits in a row, told the LSN of the first: what a follower uses."""

    def __init__(
        self, state: State | None = None, hot: Hot | None = None, mirror: Mirror | None = None
    ) -> None:
        """See `load`. `mirror` is called with the names in `hot` that a request changed."""
        self.journal = journal = Journal(TrackedDict, TrackedList, mirror)
        root: Any = dict_new(TrackedDict)
        root._holder = journal
        root._place = "state"
        root._spot = root_spot(journal, "state")
        self.root = root
        self.hot = new_hot_table(journal)
        self.begin = journal.begin
        self.finish = journal.finish
        self.rollback_open = journal.rollback_open
        self.rollback_all = journal.rollback
        replayer = Replayer(self.root, self.hot, journal)
        self.apply, self.apply_all = replayer.apply, replayer.apply_all
        self.load(state, hot)

    def load(self, state: State | None, hot: Hot | None) -> None:
        """Replace everything by copies of plain `state` and `hot`.

        They come from a checkpoint and aren't checked. O(size); nearly nothing for scalars.
        """

        def copied(root: TrackedDict) -> Hot:
            dict_update(root, state or {})
            return hot or {}

        self.refill(copied)

    def refill(self, read: Callable[[TrackedDict], Hot]) -> None:
        """Replace everything by what `read` puts into the empty root, by dict's own methods and
        unchecked, as plain dicts and lists, and by the hot table that it returns.

        What `read` raises leaves a tree of no use.
        """
        self.journal.start_following()
        for node in (self.root, self.hot):
            for value in node.values():
                if type(value) not in SCALARS:
                    self.journal.release(value)
            dict_clear(node)
        dict_update(self.hot, read(self.root))
        wrap_members(self.root)
        wrap_members(self.hot)

    def rollback(self, undo: Undo) -> None:
        """Undo one finished request: the newest that isn't undone yet."""
        self.rollback_all((undo,))

    def settle(self, own: bytes, undo: Undo, committed: bytes) -> bool:
        """After a rehearsal that made the operations `own`: become what `committed` says.

        Keeps the rehearsal where it did just that (True); else undoes it and applies.
        """
        if own == committed:
            return True
        self.rollback(undo)
        self.apply(committed)
        return False

    def read_only(self) -> AbstractContextManager[None]:
        """The context of a query: a write raises WriteInQueryError."""
        return self.journal

    def resolve(self, path: Sequence[Any]) -> Any:
        """What stands at `path` below the state's root, a scalar or a node; `[]` is the root.

        Raises StateError naming the path when nothing does.
        """
        here: Any = self.root
        for depth, key in enumerate(path):
            if not _has(here, key):
                raise StateError(
                    ("state", *path[:depth]), f"nothing under {shown(key, 60)}", _what_is(here)
                )
            here = here[key]
        return here

    def plain(self) -> tuple[State, Hot]:
        """A deep copy of plain dicts and lists: state and hot, as `load` takes them."""
        return plain_dict(self.root), plain_dict(self.hot)


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
