"""State files for the tests: written, taken apart, put together by hand."""

import os
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zstandard

from osupervisor.vault_store import state_format as form
from osupervisor.vault_store.state_format import Label, StateSummary, Trailer
from osupervisor.vault_store.state_reader import read_state
from osupervisor.vault_store.state_writer import write_state

_msgpack: Any = msgpack


def write(state: dict[Any, Any], hot: dict[str, Any] | None = None) -> tuple[bytes, StateSummary]:
    """The bytes of a state file, and its summary."""
    with stored(b"") as fd:
        summary = write_state(fd, state, hot or {})
        return os.pread(fd, os.fstat(fd).st_size, 0), summary


@contextmanager
def stored(content: bytes) -> Generator[int]:
    """A descriptor on a file with this content."""
    fd = os.memfd_create("state")
    try:
        os.write(fd, content)
        yield fd
    finally:
        os.close(fd)


def read(content: bytes, expected: StateSummary | None = None) -> tuple[Any, Any]:
    """The state and the hot table in a state file's bytes."""
    with stored(content) as fd:
        return read_state(fd, expected)


def pack(value: Any) -> bytes:
    """MessagePack, by which states are compared: the order of keys counts, and each type."""
    packed: bytes = _msgpack.packb(value)
    return packed


def instructions(content: bytes) -> list[list[Any]]:
    """Every instruction in a state file, by zstd's and msgpack's own readers alone."""
    with zstandard.ZstdDecompressor().stream_reader(content, read_across_frames=True) as reader:
        raw = reader.read()
    unpacker = _msgpack.Unpacker(strict_map_key=False, max_buffer_size=0)
    unpacker.feed(raw)
    return [instruction for block in unpacker for instruction in block]


def block(*items: bytes) -> bytes:
    """A block's data: an array of these, each packed already."""
    header: bytes = _msgpack.Packer().pack_array_header(len(items))
    return header + b"".join(items)


def assemble(blocks: list[bytes], keys: int = 0) -> bytes:
    """A state file of these blocks' data, with right labels and checksums."""
    content = form.pack_header()
    for number, raw in enumerate(blocks):
        frame = zstandard.ZstdCompressor(write_content_size=True).compress(raw)
        content += form.pack_label(Label(number, len(frame), len(raw), zlib.crc32(frame))) + frame
    raw_bytes = sum(map(len, blocks))
    return content + form.pack_trailer(Trailer(len(blocks), raw_bytes, keys))


def units(content: bytes) -> list[int]:
    """Where header, labels, data frames and trailer begin, then the end."""
    starts = [0, form.HEADER_BYTES]
    while isinstance(label := form.parse_label(content[starts[-1] :]), Label):
        data = starts[-1] + form.LABEL_BYTES
        starts += [data, data + label.stored_bytes]
    return [*starts, len(content)]
