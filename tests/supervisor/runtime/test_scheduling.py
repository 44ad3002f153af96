"""Slices and giving way, asked of the kernel in processes of their own."""

import os
import subprocess
import sys
from collections.abc import Generator

import pytest

from osupervisor.supervisor.runtime import scheduling

SLEEPER = "print(flush=True); input()"


@pytest.fixture
def sleeper() -> Generator["subprocess.Popen[str]"]:
    """A process that waits for its end."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_slices_are_shortened_and_nothing_else(sleeper: "subprocess.Popen[str]") -> None:
    os.setpriority(os.PRIO_PROCESS, sleeper.pid, 19)
    assert scheduling.shorten_slices(sleeper.pid, 300_000)
    assert os.getpriority(os.PRIO_PROCESS, sleeper.pid) == 19
    assert os.sched_getscheduler(sleeper.pid) == os.SCHED_OTHER


def test_a_batch_process_stays_what_it_is(sleeper: "subprocess.Popen[str]") -> None:
    os.sched_setscheduler(sleeper.pid, os.SCHED_BATCH, os.sched_param(0))
    assert not scheduling.shorten_slices(sleeper.pid, 300_000)
    assert os.sched_getscheduler(sleeper.pid) == os.SCHED_BATCH


def test_who_gives_way_runs_where_nobody_else_wants_to(sleeper: "subprocess.Popen[str]") -> None:
    scheduling.give_way(sleeper.pid)
    assert os.sched_getscheduler(sleeper.pid) == os.SCHED_IDLE


def test_one_that_is_gone_is_nobodys_trouble(sleeper: "subprocess.Popen[str]") -> None:
    sleeper.kill()
    sleeper.wait()
    scheduling.give_way(sleeper.pid)
    assert not scheduling.shorten_slices(sleeper.pid, 300_000)
