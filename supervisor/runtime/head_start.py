"""The nursery's head start: at a cold start it is started before anything else is done.

Its imports and the supervisor's take about the same time, and no brain can be forked before both
are through. So this module imports little. Where brains outlived the last supervisor none has to
be forked, and what they need first gets the processor; a spare has its imports behind it.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from osupervisor.supervisor.heart.spare import SPARE_FD
from osupervisor.supervisor.runtime import nursery_process
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess

HASH_SEED_FILE = "hash_seed"
_BRAINS = "brain."
"""Begins the names under which brains are kept (adoption.py)."""


def begin(arguments: Sequence[str], environ: Mapping[str, str]) -> NurseryProcess | None:
    """A nursery for the settings that `arguments` name; the caller's, like its line.

    None: this is no cold start, or the first one on its data directory, or something is wrong.
    The start itself finds that out, under the lock, and says it.
    """
    if SPARE_FD in environ or _BRAINS in environ.get("LISTEN_FDNAMES", ""):
        return None
    try:
        held = json.loads(Path(arguments[arguments.index("--settings") + 1]).read_bytes())
        target, root, data = (held["settings"][name] for name in ("target", "root", "data"))
        hash_seed = int((Path(data) / HASH_SEED_FILE).read_text())
        logs = held["settings"]["logs"]
        output = nursery_process.open_log(Path(data), int(logs["bytes_max"]), int(logs["kept"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    try:
        return nursery_process.start(target, root, str(hash_seed), output)
    except (OSError, ValueError, TypeError):
        return None
    finally:
        os.close(output)
