"""From a fork of the nursery to a brain that serves: one process, its main loop, its end.

Exit codes: 0 asked to end, or nobody is left to serve; 70 it found itself or its peer wrong (the
traceback is on its standard error).
"""

import gc
import traceback
from pathlib import Path
from typing import Any, Final

from osupervisor.brain import output
from osupervisor.brain.executor import Executor
from osupervisor.brain.follower import Follower
from osupervisor.brain.hot_mirror import HotMirror
from osupervisor.brain.loader import Loaded
from osupervisor.brain.run_loop import Birth, Life, RunLoop
from osupervisor.brain.state import StateTree

EXIT_BROKEN: Final = 70
COMM_BYTES_MAX: Final = 15
"""Linux's TASK_COMM_LEN, without its zero."""
COLLECT_AFTER: Final = (10_000, 20, 50)
"""Collector thresholds. Tracked nodes always count for it, and most of them live for long; what is
taken out of the state with containers in it is garbage that only the collector finds."""


def serve(brain_id: Any, loaded: Loaded, descriptors: list[int]) -> int:
    """Be a brain until the end; the exit code. `descriptors`: port, line, hot segment, output.

    Returns in spawned followers too, which begin their life inside of this call.
    """
    output.take_no_input()
    _name_process(f"brain {brain_id}")
    gc.set_threshold(*COLLECT_AFTER)
    gc.enable()
    try:
        mirror = HotMirror()
        tree = StateTree({}, {}, mirror.update)
        mirror.hot = tree.hot
        life = Life(loaded, Executor(loaded.program, tree, loaded.brain), Follower(tree), mirror)
        loop = RunLoop(brain_id, life, descriptors)
        while True:
            try:
                return loop.run()
            except Birth as birth:
                life.follower = birth.follower
                _name_process(f"brain {birth.brain_id}")
                loop = RunLoop(birth.brain_id, life, birth.descriptors)
    except BaseException:
        traceback.print_exc()
        return EXIT_BROKEN
    finally:
        output.flush()


def _name_process(name: str) -> None:
    """What `ps` and `top` call it; of all forks of a nursery the command line is the same."""
    try:
        Path("/proc/self/comm").write_bytes(name.encode("utf-8", "replace")[:COMM_BYTES_MAX])
    except OSError:
        return
