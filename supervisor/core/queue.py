"""Calls that wait for delivery: first in, first out, bounded in count and bytes. Pure."""

from collections import deque
from collections.abc import Callable, Iterator

from osupervisor.supervisor.core.call import Call


class CallQueue:
    """Calls in order of admission; those that come back from a dead brain go to the head."""

    __slots__ = ("calls", "size_bytes", "bytes_max", "calls_max")

    def __init__(self, calls_max: int, bytes_max: int) -> None:
        self.calls_max = calls_max
        self.bytes_max = bytes_max
        self.size_bytes = 0
        self.calls: deque[Call] = deque()
        """For the hot paths, which keep `size_bytes` themselves; others use the methods."""

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def has_room(self, size: int) -> bool:
        return len(self.calls) < self.calls_max and self.size_bytes + size <= self.bytes_max

    def append(self, call: Call) -> None:
        self.calls.append(call)
        self.size_bytes += call.size

    def pop(self) -> Call:
        call = self.calls.popleft()
        self.size_bytes -= call.size
        return call

    def put_back(self, calls: list[Call]) -> None:
        """To the head, in their order. What was admitted once is not refused now."""
        self.calls.extendleft(reversed(calls))
        for call in calls:
            call.n = 0
            self.size_bytes += call.size

    def remove_if(self, unwanted: Callable[[Call], bool]) -> list[Call]:
        """Take out all that `unwanted` says yes to, in order."""
        taken = [call for call in self.calls if unwanted(call)]
        if taken:
            gone = set(map(id, taken))
            self.calls = deque(call for call in self.calls if id(call) not in gone)
            self.size_bytes -= sum(call.size for call in taken)
        return taken
