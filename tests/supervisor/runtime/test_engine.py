"""The engine: in which order things are done."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from osupervisor.config.load import load
from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.core.outbox import Action, KeepDeadLetter
from osupervisor.supervisor.runtime import recovery
from osupervisor.supervisor.runtime.clock import LogClock
from osupervisor.supervisor.runtime.disk import Disk
from osupervisor.supervisor.runtime.engine import Engine

PARAMS = b"\xa3die\x90\x80"


class Watched(Disk):
    """Notes what is appended."""

    done: list[str]

    def append(self, records: Sequence[bytes], first_lsn: int, *, control: bool) -> None:
        super().append(records, first_lsn, control=control)
        self.done.append(f"{len(records)} records")


def test_a_dead_letter_is_kept_before_the_verdict_is_in_the_log(tmp_path: Path) -> None:
    """Whoever dies between the two writes the letter again; the other way round it is missing."""
    loop = asyncio.new_event_loop()
    settings = load(None, {}, {"data": str(tmp_path)}, "test", cwd=tmp_path)
    recovered = recovery.recover(tmp_path, settings)
    core = recovery.new_core(settings, recovered)
    core.context.limits = replace(core.context.limits, strikes_max=1)
    disk = Watched(recovered.storage, recovered.writer, recovered.boot_id, 2**20, loop)
    done = disk.done = []

    def act(action: Action) -> None:
        if isinstance(action, KeepDeadLetter):
            done.append("letter")

    engine = Engine(core, disk, LogClock(recovered.fold.t_us), loop, act=act)
    core.ready(1, 0, 0, version="", abilities=frozenset(), queries=frozenset())
    engine.turn()
    core.call(Call("k", encode_key("k", 0), 0, "die", PARAMS, 0, [], core.context.now_us, 0))
    engine.turn()
    core.died(1, 1)
    engine.turn()
    assert done == ["1 records", "letter", "2 records"]
    disk.close()
    loop.close()
