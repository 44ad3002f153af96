"""The report of a brain's death, from what was noted when it died."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from osupervisor.config.load import load
from osupervisor.supervisor.reports.crash_report import CrashReport
from osupervisor.supervisor.runtime import brain_process
from osupervisor.supervisor.runtime.brain_process import BrainProcess, Death
from osupervisor.supervisor.runtime.post_mortem import PostMortem
from tests.supervisor.runtime.nobody import Nobody


def say(level: str, event: str, /, **fields: object) -> None:
    """Nobody reads it."""


def buried(folder: Path, prepare: Callable[[BrainProcess, PostMortem], None]) -> CrashReport | None:
    """What becomes of a brain that died as `prepare` leaves it."""

    async def bury() -> CrashReport | None:
        loop = asyncio.get_running_loop()
        settings = load(None, {}, {"data": str(folder)}, "test", cwd=folder)
        post_mortem = PostMortem(settings, loop, say)
        process, ends = brain_process.make(7, loop, Nobody())
        process.death = Death(unix_s=1795988140.0, monotonic_s=0.0, lsn=21, epoch=3)
        try:
            prepare(process, post_mortem)
            return post_mortem.bury(process, "standby")
        finally:
            post_mortem.close()
            ends.close()
            process.close()
            os.close(process.output)

    return asyncio.run(bury())


def test_a_report_has_time_place_and_memory_of_the_death_itself(tmp_path: Path) -> None:
    def prepare(process: BrainProcess, _: PostMortem) -> None:
        process.pid, process.status, process.rss_bytes = 812, 9, 4096

    report = buried(tmp_path, prepare)
    assert report is not None
    assert report.id == "1795988140000-812" and report.unix_s == 1795988140.0
    assert (report.lsn, report.epoch) == (21, 3)
    assert report.memory == {"rss_bytes": 4096}


def test_a_brain_that_never_was_leaves_no_report(tmp_path: Path) -> None:
    """Whoever was to be forked for it died before the fork."""

    def prepare(process: BrainProcess, _: PostMortem) -> None:
        assert process.pid == 0

    assert buried(tmp_path, prepare) is None


def test_what_an_unknown_process_said_is_reported(tmp_path: Path) -> None:
    def prepare(process: BrainProcess, post_mortem: PostMortem) -> None:
        post_mortem.said(process, b"it got as far as this\n")

    report = buried(tmp_path, prepare)
    assert report is not None and report.output == ("it got as far as this",)
    assert report.pid is None


def test_only_who_was_asked_to_end_leaves_no_report(tmp_path: Path) -> None:
    """An op may end its process with the code of one that was asked to."""

    def prepare(process: BrainProcess, _: PostMortem) -> None:
        process.pid, process.status = 812, 0

    def ask(process: BrainProcess, post_mortem: PostMortem) -> None:
        prepare(process, post_mortem)
        process.asked_to_end = True

    def ask_whom_nobody_reaps(process: BrainProcess, _: PostMortem) -> None:
        process.pid, process.asked_to_end = 812, True

    report = buried(tmp_path, prepare)
    assert report is not None and report.cause.kind == "normal"
    assert buried(tmp_path, ask) is None
    assert buried(tmp_path, ask_whom_nobody_reaps) is None
