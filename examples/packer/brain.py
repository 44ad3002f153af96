"""Online bin packing: items arrive one by one, and each is put into a bin for good.

The state holds the open bins by their free space, as that is what a policy looks at:

    {"capacity": 150, "policy": "best_fit", "items": 3, "total": 170, "bins": 2,
     "open": {100: [1], 30: [0]}}          free space -> bins with it, the oldest first

A bin without free space is in no list. So a request costs what there are different free spaces,
at most `capacity`, however many bins there are.
"""

import bisect
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le

from osupervisor.brain import Brain, op, query

Policy = Literal["best_fit", "first_fit"]
Size = Annotated[int, Ge(1), Le(1_000_000)]

CAPACITY = 150
"""Of the OR-Library's instances, for whoever begins without `reset`."""


class Packer(Brain):
    """Packs one stream of items at a time; `reset` begins the next."""

    @op
    def reset(self, capacity: Size = CAPACITY, policy: Policy = "best_fit") -> None:
        """Begin with no bins. `best_fit` takes the fullest bin that has room, `first_fit` the
        oldest."""
        self.state = empty(capacity, policy)
        self.hot["items"] = self.hot["bins"] = 0

    @op
    def place(self, item: Size) -> int:
        """Put an item into a bin; that bin's number, from 0."""
        if not self.state:
            self.state = empty(CAPACITY, "best_fit")
        state = self.state
        capacity: int = state["capacity"]
        if item > capacity:
            raise ValueError(f"an item of {item} fits into no bin of {capacity}")
        free = self._choose(item, capacity)
        number = self._take(free) if free else state["bins"]
        left = (free or capacity) - item
        if left:
            bisect.insort(state["open"].setdefault(left, []), number)
        if not free:
            state["bins"] += 1
            self.hot["bins"] = state["bins"]
        state["items"] += 1
        state["total"] += item
        self.hot["items"] = state["items"]
        return number

    @query
    def summary(self) -> dict[str, Any]:
        """How well it is packed: bins, the lower bound on them, the excess over it in percent."""
        state = self.state or empty(CAPACITY, "best_fit")
        bound = -(-state["total"] // state["capacity"])
        excess = 100 * (state["bins"] - bound) / bound if bound else 0.0
        names = ("policy", "capacity", "items", "bins")
        return {name: state[name] for name in names} | {
            "lower_bound": bound,
            "excess_percent": round(excess, 2),
        }

    def _choose(self, item: int, capacity: int) -> int:
        """The free space of the bin to take; 0 where a new one is needed."""
        open_bins: dict[int, list[int]] = self.state["open"]
        fitting = (free for free in range(item, capacity) if free in open_bins)
        if self.state["policy"] == "best_fit":
            return next(fitting, 0)
        return min(fitting, key=lambda free: open_bins[free][0], default=0)

    def _take(self, free: int) -> int:
        """Take the oldest bin with this free space out of its list; its number."""
        bins: list[int] = self.state["open"][free]
        number = bins.pop(0)
        if not bins:
            del self.state["open"][free]
        return number


def empty(capacity: int, policy: Policy) -> dict[str, Any]:
    """The state before the first item."""
    return {
        "capacity": capacity,
        "policy": policy,
        "items": 0,
        "total": 0,
        "bins": 0,
        "open": {},
    }
