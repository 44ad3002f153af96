"""What a brain prints, as lines for the log: cut, limited, and counted where it is too much. Pure.

A brain may flood its output. Within `bytes_per_s` (and a burst of one second of that) it
is passed on line by line; beyond that it is counted and dropped, until half of the burst
is free again: so a flood costs at most a few "so much was dropped" each second, and a
dropped byte costs next to nothing. A line counts LINE_COST_BYTES more than it has: a
record is made of it, and a million empty lines are not nothing. The last bytes are kept
whatever was dropped, as a crash report wants them.
"""

from dataclasses import dataclass

from osupervisor.supervisor.logs.token_bucket import TokenBucket

# About what stands around the text in the log, and the microseconds of making that.
LINE_COST_BYTES = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One line, or a piece of one that was longer than `line_bytes_max`."""

    text: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Here so much is missing."""

    lines: int
    bytes: int


class Output:
    """Of one process. Times are monotonic seconds."""

    def __init__(self, bytes_per_s: int, line_bytes_max: int, tail_bytes: int) -> None:
        # Two of the longest lines: else one would never pass.
        burst = max(bytes_per_s, 2 * (line_bytes_max + 1 + LINE_COST_BYTES))
        self._line_bytes_max = line_bytes_max
        self._tail_bytes = tail_bytes
        self._bucket = TokenBucket(bytes_per_s, burst)
        self._open_again = burst / 2
        self._is_open = True
        self._begun = b""
        self._tail = bytearray()
        self._dropped_lines = 0
        self._dropped_bytes = 0

    def feed(self, data: bytes, now: float) -> list[Line | Dropped]:
        """What came, in pieces as it came. A line that has not ended waits for its end."""
        self._remember(data)
        if self._is_shut(now):
            self._drop_lines(self._begun + data)
            return []
        whole, self._begun = self._cut(self._begun + data)
        return self._pass(whole, now)

    def end(self, now: float) -> list[Line | Dropped]:
        """No more will come: what was begun is a line, and what is missing is said."""
        rest = self._begun + b"\n" if self._begun else b""
        self._begun = b""
        passed = self._pass(rest, now)
        return [*passed, *self._gap()]

    @property
    def is_missing_some(self) -> bool:
        """Something was dropped, and that was not said yet."""
        return self._dropped_bytes > 0

    def say_what_is_missing(self, now: float) -> list[Line | Dropped]:
        """For an output that fell silent after a flood: once the limit allows it."""
        return [] if self._is_shut(now) else self._gap()

    def last_lines(self) -> tuple[str, ...]:
        """The last `tail_bytes`, whole lines if there are any, also of what was dropped."""
        kept = bytes(self._tail)
        start = max(0, len(kept) - self._tail_bytes)
        tail = kept[start:]
        if start > 0 and kept[start - 1 : start] != b"\n" and b"\n" in tail:
            tail = tail.partition(b"\n")[2]
        return tuple(_text(line) for line in tail.removesuffix(b"\n").split(b"\n") if tail)

    def _pass(self, whole: bytes, now: float) -> list[Line | Dropped]:
        """`whole` ends with a newline, or is empty."""
        fits, cost = self._fitting(whole, self._bucket.available(now))
        self._is_open = fits == len(whole)
        passed: list[Line | Dropped] = []
        if fits:
            passed.extend(self._gap())
            passed.extend(Line(_text(line)) for line in whole[: fits - 1].split(b"\n"))
            self._bucket.take(cost, now)
        self._drop(whole[fits:])
        return passed

    def _fitting(self, whole: bytes, available: float) -> tuple[int, int]:
        """How many of its bytes, in whole lines, may pass, and what they cost."""
        cost = len(whole) + whole.count(b"\n") * LINE_COST_BYTES
        if cost <= available:
            return len(whole), cost
        fits = cost = 0
        while (end := whole.find(b"\n", fits) + 1) > 0:
            more = end - fits + LINE_COST_BYTES
            if cost + more > available:
                break
            fits, cost = end, cost + more
        return fits, cost

    def _cut(self, data: bytes) -> tuple[bytes, bytes]:
        """The lines that are whole, none too long, each with its newline; and what is begun."""
        size = self._line_bytes_max
        end = data.rfind(b"\n") + 1
        whole, begun = data[:end], data[end:]
        lines = whole[:-1].split(b"\n")
        if max(map(len, lines)) > size:
            whole = b"".join(_pieces(line, size) for line in lines)
        whole_pieces = len(begun) // size * size if len(begun) > size else 0
        return whole + _pieces(begun[:whole_pieces], size, b""), begun[whole_pieces:]

    def _is_shut(self, now: float) -> bool:
        return not self._is_open and self._bucket.available(now) < self._open_again

    def _drop_lines(self, data: bytes) -> None:
        """What is begun is kept for later, unless it is too long already."""
        end = data.rfind(b"\n") + 1
        if len(data) - end > self._line_bytes_max:
            end = len(data)
        self._drop(data[:end])
        self._begun = data[end:]

    def _drop(self, data: bytes) -> None:
        self._dropped_lines += data.count(b"\n")
        self._dropped_bytes += len(data)

    def _gap(self) -> list[Line | Dropped]:
        if not self._dropped_bytes:
            return []
        gap = Dropped(self._dropped_lines, self._dropped_bytes)
        self._dropped_lines = self._dropped_bytes = 0
        return [gap]

    def _remember(self, data: bytes) -> None:
        """Up to twice as much as is wanted, so that it is not moved at each feed."""
        self._tail += data[-self._tail_bytes :] if self._tail_bytes else b""
        if len(self._tail) > 2 * self._tail_bytes:
            del self._tail[: -self._tail_bytes - 1]


def _pieces(line: bytes, size: int, empty: bytes = b"\n") -> bytes:
    """The line in pieces of at most `size`, each with a newline; `empty` is that of none."""
    pieces = [line[start : start + size] for start in range(0, len(line), size)]
    return b"".join(piece + b"\n" for piece in pieces) if pieces else empty


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
