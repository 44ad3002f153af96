"""What happened to a disk, in the order in which it did: a file of events.

write       came from the machine: `number` is the offset, `data` what it writes
answered    the machine was told that write `number` (of the events) is in the disk's cache
flushed     the machine was told that its flush is done, which had come when there were
            `number` events: all writes answered by then are on the platter
told        a line came over the serial port
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

Kind = Literal[b"w", b"a", b"f", b"t"]
WRITE: Final = b"w"
ANSWERED: Final = b"a"
FLUSHED: Final = b"f"
TOLD: Final = b"t"

_HEAD = struct.Struct("<cdQI")


@dataclass(frozen=True, slots=True)
class Event:
    """`at`: seconds, of a clock that nobody sets."""

    kind: Kind
    at: float
    number: int
    data: bytes = b""


class Recording:
    """Writes events to a file. `count`: how many there are."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.count = 0

    def add(self, event: Event) -> int:
        """Its place among all."""
        head = _HEAD.pack(event.kind, event.at, event.number, len(event.data))
        self._file.write(head + event.data)
        self.count += 1
        return self.count - 1

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> list[Event]:
    return list(_read(path.read_bytes()))


def _read(content: bytes) -> Iterator[Event]:
    at = 0
    while at < len(content):
        kind, when, number, size = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        yield Event(cast(Kind, kind), when, number, content[at : at + size])
        at += size
