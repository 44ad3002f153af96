"""The blocks of a state file, every byte checked before it is used.

state_format.py has the bytes. What the blocks mean is state_reader.py's.
"""

import hashlib
import os
import zlib
from collections.abc import Iterator
from typing import NoReturn

import zstandard

from osupervisor.vault_store.errors import CorruptCheckpointError
from osupervisor.vault_store.state_format import (
    HEADER_BYTES,
    LABEL_BYTES,
    TRAILER_BYTES,
    Label,
    StateSummary,
    Trailer,
    check_header,
    parse_label,
)


class BlockReader:
    """Reads a file from its start, whatever the descriptor's offset, which stays.

    With `expected`, the file must also be that very one, by its sizes and sha256; this is known
    only at the end, so what was made of the blocks must not be used before. `path` is for errors.
    """

    def __init__(self, fd: int, path: str, expected: StateSummary | None = None) -> None:
        self._fd = fd
        self._path = path
        self._expected = expected
        self._digest = hashlib.sha256() if expected is not None else None
        self._decompressor = zstandard.ZstdDecompressor()
        self.offset = 0
        self.raw_bytes = 0

    def read(self) -> Iterator[bytes]:
        """Each block's data; meanwhile `offset` is that block's, `raw_bytes` those so far.

        Ends when the trailer and the end of the file are right too.
        Raises CorruptCheckpointError, OSError.
        """
        head = self._take(0, HEADER_BYTES)
        try:
            check_header(head)
        except ValueError as error:
            self.refuse(str(error))
        self.offset, number = HEADER_BYTES, 0
        while isinstance(label := self._label(), Label):
            if label.number != number:
                self.refuse(f"block {label.number} where block {number} belongs")
            raw = self._data(label)
            self.raw_bytes += len(raw)
            yield raw
            self.offset += LABEL_BYTES + label.stored_bytes
            number += 1
        self._finish(label, number)

    def refuse(self, reason: str, beyond: int = 0) -> NoReturn:
        """Raise CorruptCheckpointError for what lies `beyond` the current block's start."""
        raise CorruptCheckpointError(self._path, self.offset + beyond, reason)

    def _label(self) -> Label | Trailer:
        """The label at the current offset, or the trailer."""
        found = self._take(self.offset, TRAILER_BYTES, hashed=False)
        try:
            label = parse_label(found)
        except ValueError as error:
            self.refuse(str(error))
        self._hash(found[: LABEL_BYTES if isinstance(label, Label) else TRAILER_BYTES])
        return label

    def _data(self, label: Label) -> bytes:
        stored = self._take(self.offset + LABEL_BYTES, label.stored_bytes)
        if len(stored) < label.stored_bytes:
            self.refuse("the file ends inside a block", LABEL_BYTES + len(stored))
        if zlib.crc32(stored) != label.crc:
            self.refuse("a block's checksum is wrong", LABEL_BYTES)
        try:
            # The frame's own word on its size is checked first: that much is allocated.
            if zstandard.frame_content_size(stored) != label.raw_bytes:
                self.refuse("a block's frame is not of the size in its label", LABEL_BYTES)
            return self._decompressor.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            self.refuse(f"a block can't be decompressed: {error}", LABEL_BYTES)

    def _finish(self, trailer: Trailer, blocks: int) -> None:
        if (trailer.blocks, trailer.raw_bytes) != (blocks, self.raw_bytes):
            self.refuse("the trailer's totals are not those of the blocks")
        size = self.offset + TRAILER_BYTES
        if os.fstat(self._fd).st_size != size:
            self.refuse("the file goes on behind its trailer", TRAILER_BYTES)
        if self._digest is None:
            return
        digest = self._digest.hexdigest()
        found = StateSummary(size, trailer.raw_bytes, digest, trailer.keys)
        if found != self._expected:
            self.offset = 0
            self.refuse(f"not the file of the manifest: {found}, wanted {self._expected}")

    def _take(self, offset: int, count: int, hashed: bool = True) -> bytes:
        """`count` bytes at `offset`, fewer only at the end of the file."""
        found = os.pread(self._fd, count, offset)
        while len(found) < count:
            more = os.pread(self._fd, count - len(found), offset + len(found))
            if not more:
                break
            found += more
        if hashed:
            self._hash(found)
        return found

    def _hash(self, found: bytes) -> None:
        if self._digest is not None:
            self._digest.update(found)
