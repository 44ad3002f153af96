"""What a checkpoint's forked child does: write the state it was born with, and tell the result."""

import os
from typing import Final

from osupervisor.brain.fork import CHECKPOINT_NICENESS
from osupervisor.brain.packing import encode
from osupervisor.brain.state import StateTree
from osupervisor.vault_store.state_writer import write_state

DEFAULT_LEVEL: Final = 3


def write(file_fd: int, pipe_fd: int, tree: StateTree, lsn: int, level: int = DEFAULT_LEVEL) -> int:
    """Write and fsync the state at `lsn` to `file_fd`; one map goes to `pipe_fd`: lsn, bytes,
    raw_bytes, sha256 and keys, or error. The exit code.
    """
    os.nice(CHECKPOINT_NICENESS)
    try:
        summary = write_state(file_fd, tree.root, tree.hot, level)
        result: dict[str, object] = {"lsn": lsn, **summary.as_map()}
        code = 0
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
        code = 1
    os.write(pipe_fd, encode(result))
    return code
