"""Who is restarted when a child has died. Pure.

A strategy is a row of a table: from the ids in start order and the id that died to
the ids that are stopped (in reverse) and started again (in this order). What needs
only another row, such as one_for_all, is one line here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, assert_never

from osupervisor.supervisor.tree.cause import Cause

Strategy = Literal["one_for_one", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]


def _only_it(ids: Sequence[str], dead: str) -> Sequence[str]:
    del ids
    return (dead,)


def _it_and_those_after(ids: Sequence[str], dead: str) -> Sequence[str]:
    return ids[ids.index(dead) :]


STRATEGIES: Mapping[Strategy, Callable[[Sequence[str], str], Sequence[str]]] = {
    "one_for_one": _only_it,
    "rest_for_one": _it_and_those_after,
}


def is_restarted(restart: Restart, cause: Cause) -> bool:
    """Whether a child of this restart type comes back after this end."""
    match restart:
        case "permanent":
            return True
        case "transient":
            return not cause.is_peaceful
        case "temporary":
            return False
        case _:
            assert_never(restart)
