"""A second tree beside the first, to find changes that were made but not recorded.

C code can write into a dict or list without calling its methods, as heapq does, which purity.py
blocks. Then primary and follower differ, and nobody notices until the roles change. In tests and
development each commit is therefore applied to a second tree, and the two are compared. It takes
the state's memory once more, and for a whole comparison time in proportion to its size.
"""

from typing import Any, Final

from osupervisor.brain.errors import Path, StateError
from osupervisor.brain.spot import pack
from osupervisor.brain.state import StateTree
from osupervisor.brain.values import is_dict, is_list
from osupervisor.bridge import operations

TOUCHED_KEYS: Final = 2
"""How much of an operation's path names what is compared: a root and its member."""


class UnrecordedChangeError(StateError):
    """The state was changed and no operation says so. The tree is not to be used any more."""


class Witness:
    """Follows `tree` by its commits alone."""

    def __init__(self, tree: StateTree) -> None:
        self._tree = tree
        self._second = StateTree(*tree.plain())

    def check(self, ops: bytes, whole: bool = True) -> None:
        """After each commit of the tree, with its operations.

        Compares everything, or without `whole` the members of the roots that the operations touch.
        Raises UnrecordedChangeError with the path of the first difference.
        """
        self._second.apply(ops)
        one, two = self._roots(self._tree), self._roots(self._second)
        touched = {tuple(op[1][:TOUCHED_KEYS]) for op in operations.unpack(ops)}
        for path in [()] if whole else sorted(touched, key=repr):
            different = first_difference(_at(one, path), _at(two, path), path)
            if different is not None:
                raise UnrecordedChangeError(
                    different,
                    "changed without being recorded",
                    "C code that writes into a dict or list goes round its methods: "
                    "work on a copy, list(x) or dict(x), and store that",
                )

    def forget(self) -> None:
        """Start anew from the tree as it is, after a rollback or a load."""
        self._second.load(*self._tree.plain())

    def _roots(self, tree: StateTree) -> dict[str, Any]:
        return {"state": tree.root, "hot": tree.hot}


def first_difference(one: Any, two: Any, path: Path = ()) -> Path | None:
    """The path of the first place where two values differ as bytes, the order of keys included."""
    if pack(one) == pack(two):
        return None
    if is_dict(one) and is_dict(two) and list(one) == list(two):
        members = [(key, one[key], two[key]) for key in one]
    elif is_list(one) and is_list(two):
        members = [(at, one[at], two[at]) for at in range(min(len(one), len(two)))]
    else:
        return path
    for key, first, second in members:
        different = first_difference(first, second, (*path, key))
        if different is not None:
            return different
    return path


def _at(roots: Any, path: Path) -> Any:
    """What stands at `path`; None when nothing does, as after a deletion."""
    here = roots
    for key in path:
        if not is_dict(here) or key not in here:
            return None
        here = here[key]
    return here
