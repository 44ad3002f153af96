"""Writing a state tree to a file, in a stream: never more than some blocks of it in memory.

What fits in one instruction is packed by MessagePack's C code in one call, nested or not; what
doesn't is opened and filled in pieces, with a stack of iterators in place of recursion. So one
huge dict, list or string costs no more memory than a small one, and no depth is too deep.

state_format.py has the bytes. Nothing here knows of manifests or folders.
"""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from math import inf
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]
import zstandard

from osupervisor.vault_store.errors import UnstorableStateError
from osupervisor.vault_store.state_format import (
    BLOCK_RAW_MAX,
    CHARS_MAX,
    DEPTH_MAX,
    NODES_MAX,
    Instruction,
    Label,
    StateSummary,
    Trailer,
    pack_header,
    pack_label,
    pack_trailer,
)

# What is dirty in the page cache is pushed out this often, so that the last fsync is short and
# the log's own fdatasync never waits behind a whole checkpoint.
_SYNC_EVERY_BYTES = 8 << 20
# Characters of a long text in one piece.
_PIECE_CHARS = 64 * 1024
# How many values of an open container are looked at together, and tried in one instruction first.
_TAKEN, _ATTEMPT_FIRST = NODES_MAX // 2, 512
# How full an instruction is meant to be: some room for values that are larger than the last.
_FILL = 0.9
_ARRAY_HEADER_BYTES = 5
_msgpack: Any = msgpack
_FIXED: Final = frozenset({int, float, bool, type(None)})
_TEXTS: Final = (str, bytes, bytearray)
_CONTAINERS: Final = (dict, list, tuple)
# Any, so that a test of a state's value leaves it Any.
_MAPPING: Any = dict
_VALUES: Any = _MAPPING.values


def write_state(
    fd: int, state: Mapping[Any, Any], hot: Mapping[str, int | float], level: int = 3
) -> StateSummary:
    """Write both to the empty file `fd`, from where it stands, and fsync it: durable on return.

    `state` is a tree of dicts and lists (or subclasses) with MessagePack's scalars, its order kept;
    nothing may change it meanwhile. `level`: zstd's. Raises UnstorableStateError, OSError.
    """
    blocks = _BlockWriter(fd, level)
    _Walk(blocks).run([state, hot])
    return blocks.finish(len(state))


class _BlockWriter:
    """Gathers instructions into blocks and writes them."""

    def __init__(self, fd: int, level: int) -> None:
        self._fd = fd
        self._compressor = zstandard.ZstdCompressor(level=level, write_content_size=True)
        self._digest = hashlib.sha256()
        self._parts: list[bytes] = []
        self._gathered = _ARRAY_HEADER_BYTES
        self._blocks = self._raw = self._written = self._synced = 0
        self._write(pack_header())

    def add(self, instruction: bytes) -> None:
        if self._gathered + len(instruction) > BLOCK_RAW_MAX or len(self._parts) == NODES_MAX:
            self._flush()
        self._parts.append(instruction)
        self._gathered += len(instruction)

    def finish(self, keys: int) -> StateSummary:
        self._flush()
        self._write(pack_trailer(Trailer(self._blocks, self._raw, keys)))
        os.fsync(self._fd)
        digest = self._digest.hexdigest()
        return StateSummary(self._written, self._raw, digest, keys)

    def _flush(self) -> None:
        if not self._parts:
            return
        header: bytes = _msgpack.Packer().pack_array_header(len(self._parts))
        raw = b"".join([header, *self._parts])
        assert len(raw) <= BLOCK_RAW_MAX
        self._parts.clear()
        self._gathered = _ARRAY_HEADER_BYTES
        stored = self._compressor.compress(raw)
        label = Label(self._blocks, len(stored), len(raw), zlib.crc32(stored))
        self._write(pack_label(label) + stored)
        self._blocks += 1
        self._raw += len(raw)

    def _write(self, content: bytes) -> None:
        self._digest.update(content)
        view = memoryview(content)
        while view:
            view = view[os.write(self._fd, view) :]
        self._written += len(content)
        if self._written - self._synced >= _SYNC_EVERY_BYTES:
            os.fdatasync(self._fd)
            self._synced = self._written


class _Open:
    """A container that is being filled: what is left of it. `keys` is None for a list."""

    __slots__ = ("_keys", "_values", "attempt", "keys", "values")

    def __init__(self, container: Any) -> None:
        mapping = isinstance(container, _MAPPING)
        self._keys: Iterator[Any] | None = iter(container) if mapping else None
        self._values: Iterator[Any] = iter(container.values() if mapping else container)
        self.keys: list[Any] | None = [] if mapping else None
        self.values: list[Any] = []
        self.attempt = _ATTEMPT_FIRST

    def refill(self) -> bool:
        """Take the next values when there are none at hand; False: that was all."""
        if not self.values:
            self.values = list(islice(self._values, _TAKEN))
            if self._keys is not None:
                self.keys = list(islice(self._keys, _TAKEN))
        return bool(self.values)

    def fitting(self) -> int:
        """How many of the values at hand go into the next instruction; 0: not even the first.

        As many are tried as would fill most of one, by what the last ones took.
        """
        count = min(self.attempt, len(self.values))
        while (used := _room_used((self.keys or [])[:count] + self.values[:count])) > 1:
            count //= 2
        self.attempt = min(max(int(count * _FILL / max(used, 0.01)), 1), _TAKEN)
        return count

    def drop(self, count: int) -> None:
        """The first `count` have been written."""
        del self.values[:count]
        if self.keys is not None:
            del self.keys[:count]


class _Walk:
    """Turns a tree into instructions, with a stack of open containers in place of recursion."""

    def __init__(self, blocks: _BlockWriter) -> None:
        self._blocks = blocks
        self._pack: Callable[[object], bytes] = _msgpack.Packer(use_bin_type=True).pack
        self._stack: list[_Open] = []

    def run(self, root: list[Any]) -> None:
        """Write the root list's items."""
        self._stack.append(_Open(root))
        while True:
            top = self._stack[-1]
            if top.refill():
                self._step(top)
                continue
            self._stack.pop()
            if not self._stack:
                return
            self._emit(Instruction.CLOSE)

    def _step(self, top: _Open) -> None:
        """Write as many of the values at hand as fit in an instruction, or open the first."""
        count = top.fitting()
        if count == 0:
            key, value = (top.keys[0] if top.keys else None), top.values[0]
            top.drop(1)
            self._open(key, value)
            return
        if top.keys is None:
            self._emit(Instruction.ITEMS, top.values[:count])
        else:
            self._emit(Instruction.PAIRS, top.keys[:count], top.values[:count])
        top.drop(count)

    def _open(self, key: Any, value: Any) -> None:
        """Write what is too large for one instruction, or has too large a key."""
        if isinstance(key, (str, bytes)) and len(key) > _PIECE_CHARS:
            self._emit(Instruction.OPEN_KEY, isinstance(key, str))
            self._pieces(key)
            key = None
            if _room_used([value]) <= 1:
                self._emit(Instruction.PUT, value)
                return
        if isinstance(value, (str, bytes, bytearray)):
            text = isinstance(value, str)
            self._emit(Instruction.OPEN_TEXT if text else Instruction.OPEN_BYTES, key)
            self._pieces(value)
            return
        mapping = isinstance(value, _MAPPING)
        self._emit(Instruction.OPEN_DICT if mapping else Instruction.OPEN_LIST, key)
        self._stack.append(_Open(value))

    def _pieces(self, long: str | bytes | bytearray) -> None:
        for start in range(0, len(long), _PIECE_CHARS):
            self._emit(Instruction.PIECE, long[start : start + _PIECE_CHARS])
        self._emit(Instruction.CLOSE)

    def _emit(self, *instruction: Any) -> None:
        try:
            packed = self._pack(instruction)
        except (TypeError, ValueError, OverflowError) as error:
            raise UnstorableStateError(str(error)) from error
        self._blocks.add(packed)


def _room_used(level: list[Any]) -> float:
    """What share of an instruction these values need, with all below them; > 1: too much.

    Goes level by level and kind by kind, so that C code does what is done for each value, and
    stops as soon as it is too much. No values need nothing.
    """
    nodes, chars = len(level), 0
    for _ in range(DEPTH_MAX):
        below: list[Any] = []
        kinds: set[type[Any]] = set(map(type, level))
        for kind in kinds - _FIXED:
            members: list[Any] = [value for value in level if type(value) is kind]
            if issubclass(kind, _TEXTS):
                chars += sum(map(len, members))
            elif issubclass(kind, _CONTAINERS):
                mapping = issubclass(kind, dict)
                nodes += sum(map(len, members)) * (2 if mapping else 1)
                if nodes > NODES_MAX:
                    return inf
                below.extend(chain.from_iterable(members))
                if mapping:
                    below.extend(chain.from_iterable(map(_VALUES, members)))
        used = max(nodes / NODES_MAX, chars / CHARS_MAX)
        if used > 1 or not below:
            return used
        level = below
    return inf
