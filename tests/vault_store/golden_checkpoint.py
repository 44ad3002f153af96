"""The checkpoint of which the golden files are one, and what writes it anew for a new version.

python -m tests.vault_store.golden_checkpoint FOLDER
"""

import os
import sys
from pathlib import Path
from typing import Any

from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.manifest import Manifest, summarize
from osupervisor.vault_store.state_writer import write_state

LSN = 4711
STATE: dict[Any, Any] = {
    "bins": [[60, 40], [75], []],
    "sizes": {1: "one", -2: None, b"raw": True, "half": 0.5, "most": 2**64 - 1},
    "long": "é漢🙂" * 60_000,
    "bytes": bytes(range(256)) * 600,
    "wide": {str(number): [number] for number in range(5_000)},
    "many": [[number] for number in range(9_000)],
    "k" * 140_000: {"under a long key": 1},
}
HOT: dict[str, int | float] = {"placed": 3, "load": 0.25}
CONTROL = b"\x82\xa5epoch\x03\xa4done\x80"


def write(folder: Path) -> None:
    """Write it into a store in `folder`."""
    store = CheckpointStore(folder)
    store.prepare()
    fd = store.begin(LSN)
    try:
        state = write_state(fd, STATE, HOT)
    finally:
        os.close(fd)
    manifest = Manifest(LSN, 3, "9f86d081884c", 7, 1_760_000_000, state, summarize(CONTROL))
    store.finish(manifest, CONTROL)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
