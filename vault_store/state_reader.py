"""Reading a state file: the blocks' instructions followed, a tree of plain dicts and lists made.

No content makes it take more memory than the state that it holds and some blocks: sizes are read
only under a checksum, and each has a low bound. The order of keys is as it was.
state_format.py has the instructions, block_reader.py checks the blocks.
"""

import gc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

import msgpack  # type: ignore[import-untyped]

from osupervisor.vault_store.block_reader import BlockReader
from osupervisor.vault_store.state_format import (
    BLOCK_RAW_MAX,
    NODES_MAX,
    Instruction,
    StateSummary,
)

STATE_FILE: Final = "state.zst"

_msgpack: Any = msgpack

# What msgpack and the builder raise for a block that is whole and makes no sense: only a writer
# that is wrong, or somebody who computes checksums, can make one.
_MALFORMED = (ValueError, TypeError, IndexError, _msgpack.UnpackException)


def read_state(
    fd: int,
    expected: StateSummary | None = None,
    path: str = STATE_FILE,
    root: dict[Any, Any] | None = None,
) -> tuple[dict[Any, Any], dict[str, int | float]]:
    """The state and the hot table in `fd`, which is read from its start; its offset stays.

    With `expected` the file must also be that very one, by sizes and sha256. `path` is for errors.
    `root`: an empty dict, of a derived class too, that is filled by dict's own methods and becomes
    the state; of no use when this raises. Raises CorruptCheckpointError, OSError. The garbage
    collector rests meanwhile.
    """
    blocks = BlockReader(fd, path, expected)
    builder = _Builder({} if root is None else root)
    with _collector_at_rest():
        for raw in blocks.read():
            try:
                for instruction in _unpack(raw):
                    builder.apply(instruction)
            except _MALFORMED as error:
                blocks.refuse(f"a block makes no sense: {error}")
    try:
        return builder.result()
    except ValueError as error:
        blocks.refuse(str(error))


def check_state(fd: int, expected: StateSummary | None = None, path: str = STATE_FILE) -> int:
    """Check every byte of a state file without building the state; the number of blocks.

    Raises CorruptCheckpointError, OSError.
    """
    return sum(1 for _ in BlockReader(fd, path, expected).read())


class _Pieces:
    """A long text, bytes or key that is being put together."""

    __slots__ = ("is_key", "key", "parts")

    def __init__(self, first: str | bytes, key: Any, is_key: bool = False) -> None:
        self.parts: list[Any] = [first]
        self.key = key
        self.is_key = is_key


_NO_KEY: Final = object()
_dict: Any = dict
_update: Final[Any] = _dict.update
_set: Final[Any] = _dict.__setitem__


class _Builder:
    """Follows instructions. What is against their rules is a ValueError or a TypeError."""

    def __init__(self, state: dict[Any, Any]) -> None:
        """`state` becomes the first of the two dicts."""
        self._state = state
        self._root: list[Any] = []
        self._stack: list[Any] = [self._root]
        self._held: Any = _NO_KEY
        self._followers: dict[Any, Callable[..., None]] = {
            Instruction.PAIRS: self._add_pairs,
            Instruction.ITEMS: self._add_items,
            Instruction.OPEN_DICT: self._open_dict,
            Instruction.OPEN_LIST: self._open_list,
            Instruction.OPEN_TEXT: self._open_text,
            Instruction.OPEN_BYTES: self._open_bytes,
            Instruction.PIECE: self._add_piece,
            Instruction.CLOSE: self._close,
            Instruction.PUT: self._put,
            Instruction.OPEN_KEY: self._open_key,
        }

    def apply(self, instruction: Any) -> None:
        """Follow one instruction, as msgpack has unpacked it."""
        code, *arguments = _of(list, instruction)
        follow = self._followers.get(code)
        if follow is None:
            raise ValueError(f"no instruction has the number {code!r}")
        follow(*arguments)

    def result(self) -> tuple[dict[Any, Any], dict[str, int | float]]:
        """The two dicts; all else must have been closed."""
        if len(self._stack) != 1 or len(self._root) != 2:
            raise ValueError("the file holds no state and hot table, or leaves something open")
        state, hot = self._root
        if state is not self._state:  # a small one comes whole
            _update(self._state, _of(dict, state))
        return self._state, _of(dict, hot)

    def _add_pairs(self, keys: Any, values: Any) -> None:
        pairs = zip(_of(list, keys), _of(list, values), strict=True)
        _update(self._top(dict), pairs)

    def _add_items(self, items: Any) -> None:
        self._top(list).extend(_of(list, items))

    def _add_piece(self, piece: Any) -> None:
        self._top(_Pieces).parts.append(piece)

    def _put(self, value: Any) -> None:
        self._attach(None, value)

    def _open_dict(self, key: Any) -> None:
        is_state = len(self._stack) == 1 and not self._root
        self._push(key, self._state if is_state else {})

    def _open_list(self, key: Any) -> None:
        self._push(key, [])

    def _open_text(self, key: Any) -> None:
        self._stack.append(_Pieces("", key))

    def _open_bytes(self, key: Any) -> None:
        self._stack.append(_Pieces(b"", key))

    def _open_key(self, text: Any) -> None:
        self._stack.append(_Pieces("" if _of(bool, text) else b"", None, is_key=True))

    def _push(self, key: Any, container: Any) -> None:
        self._attach(key, container)
        self._stack.append(container)

    def _close(self) -> None:
        if len(self._stack) == 1:
            raise ValueError("nothing is open")
        closed = self._stack.pop()
        if not isinstance(closed, _Pieces):
            return
        joined = closed.parts[0][:0].join(closed.parts)
        if closed.is_key:
            self._held = joined
        else:
            self._attach(closed.key, joined)

    def _attach(self, key: Any, value: Any) -> None:
        """Put a value into the open container: at its end, under `key`, or under the held one."""
        if key is None and self._stack[-1].__class__ is list:
            self._stack[-1].append(value)
            return
        if key is None:
            key, self._held = self._held, _NO_KEY
        if key is _NO_KEY:
            raise ValueError("a value has no key")
        _set(self._top(dict), key, value)

    def _top(self, kind: type[Any]) -> Any:
        top = self._stack[-1]
        return top if top is self._state and kind is dict else _of(kind, top)


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise ValueError(f"a {type(value).__name__} where a {kind.__name__} belongs")
    return value


def _unpack(raw: bytes) -> Any:
    """A block's instructions. Every length has the writer's bound: nothing takes more than that."""
    instructions = _msgpack.unpackb(
        raw,
        strict_map_key=False,
        max_str_len=BLOCK_RAW_MAX,
        max_bin_len=BLOCK_RAW_MAX,
        max_array_len=NODES_MAX,
        max_map_len=NODES_MAX,
        max_ext_len=0,
    )
    return _of(list, instructions)


@contextmanager
def _collector_at_rest() -> Generator[None]:
    """A million new containers would start the collector again and again, to find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
