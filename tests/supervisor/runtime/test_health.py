"""The health monitor: what it complains of, and until when."""

import asyncio
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from osupervisor.config.settings import Health as HealthSettings
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.runtime import brain_process, health
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.health import LOOK_S, Health
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


def test_a_brain_that_waits_for_a_cpu_is_not_blamed_for_what_it_owes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, waited_s = 1_000.0, 0.0
    suspicions: list[str] = []

    async def run() -> None:
        nonlocal now_s, waited_s
        loop = asyncio.get_running_loop()
        rig = Rig(limits=Limits(op_timeout_us=300_000))
        rig.ready(1)
        rig.turn()
        rig.call("add")
        rig.turn()
        process, ends = brain_process.make(1, loop, Nobody())
        reader, process.ready = process.reader, True
        shown = SimpleNamespace(cell=lambda: (0, 0), heartbeat_ns=lambda: int(now_s * 1e9))
        monkeypatch.setattr(process, "reader", shown)
        brains = SimpleNamespace(by_id={1: process}, kill=told)
        monitor = Health(
            HealthSettings(silence_s=0.2, sample_interval_s=1e6),
            0,
            tmp_path,
            cast("Engine", SimpleNamespace(core=rig.core)),
            cast("Brains", brains),
            loop,
            lambda _process, reason: suspicions.append(reason),
        )
        for share in (1, 0):
            for _ in range(20):
                now_s, waited_s = now_s + LOOK_S, waited_s + share * LOOK_S
                monitor.look()
            assert len(suspicions) == (0 if share else 1)
        assert suspicions[0].startswith("it has owed an answer for 0.5")
        monkeypatch.setattr(process, "reader", reader)
        ends.close()
        process.close()
        os.close(process.output)

    def told(_process: object, _verdict: object) -> None:
        """What it is killed for stands in `suspicions`."""

    def in_the_run_queue_s(_pid: int) -> float:
        return waited_s

    clock = SimpleNamespace(monotonic=lambda: now_s, monotonic_ns=lambda: int(now_s * 1e9))
    monkeypatch.setattr(health, "time", clock)
    monkeypatch.setattr(health, "_run_queue_s", in_the_run_queue_s)
    asyncio.run(run())


def test_time_in_which_nobody_looked_is_not_an_ops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All processes may have been frozen: its call got the last word, a Timeout, for that."""
    now_s = 1_000.0
    suspicions: list[str] = []

    async def run() -> None:
        nonlocal now_s
        loop = asyncio.get_running_loop()
        rig = Rig(limits=Limits(op_timeout_us=2_000_000))
        rig.ready(1)
        rig.turn()
        rig.call("add")
        rig.turn()
        process, ends = brain_process.make(1, loop, Nobody())
        reader, process.ready = process.reader, True
        since_ns = int(now_s * 1e9)
        shown = SimpleNamespace(cell=lambda: (1, since_ns), heartbeat_ns=lambda: int(now_s * 1e9))
        monkeypatch.setattr(process, "reader", shown)
        monitor = Health(
            HealthSettings(sample_interval_s=1e6),
            0,
            tmp_path,
            cast("Engine", SimpleNamespace(core=rig.core)),
            cast("Brains", SimpleNamespace(by_id={1: process}, kill=told)),
            loop,
            lambda _process, reason: suspicions.append(reason),
        )
        for steps_s in ([LOOK_S] * 10, [4.0], [LOOK_S] * 10, [3.0], [LOOK_S] * 10):
            for step_s in steps_s:
                now_s += step_s
                monitor.look()
        assert not suspicions
        for _ in range(20):
            now_s += LOOK_S
            monitor.look()
        assert [each.split(" ")[:3] for each in suspicions] == [["add", "ran", "for"]]
        monkeypatch.setattr(process, "reader", reader)
        ends.close()
        process.close()
        os.close(process.output)

    def told(_process: object, _verdict: object) -> None:
        """What it is killed for stands in `suspicions`."""

    clock = SimpleNamespace(monotonic=lambda: now_s, monotonic_ns=lambda: int(now_s * 1e9))
    monkeypatch.setattr(health, "time", clock)
    asyncio.run(run())
