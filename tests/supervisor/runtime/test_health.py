"""The health monitor: what it complains of, and until when."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from osupervisor.config.settings import Health as HealthSettings
from osupervisor.supervisor.runtime import brain_process
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.health import Health
from tests.supervisor.core.rig import Rig
from tests.supervisor.runtime.nobody import Nobody

NO_SIGN = "a brain gives no sign of life"
NO_PROCESS = 2**22
"""Above any pid: such a brain can't be measured, as one that has just ended."""


def test_a_complaint_of_a_brain_goes_with_it(tmp_path: Path) -> None:
    """Also where it was never measured."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        settings = HealthSettings(suspicion_s=0.01, sample_interval_s=0.01)
        process, ends = brain_process.make(1, loop, Nobody())
        process.pid, process.ready = NO_PROCESS, True
        brains = SimpleNamespace(by_id={1: process})
        health = Health(
            settings,
            0,
            tmp_path,
            cast("Engine", SimpleNamespace(core=Rig().core)),
            cast("Brains", brains),
            loop,
            lambda _process, _reason: None,
        )
        while NO_SIGN not in health.complaints():
            health.look()
            await asyncio.sleep(0)
        del brains.by_id[1]
        for _ in range(2):
            await asyncio.sleep(settings.sample_interval_s)
            health.look()
        assert NO_SIGN not in health.complaints()
        ends.close()
        process.close()
        os.close(process.output)

    asyncio.run(run())
