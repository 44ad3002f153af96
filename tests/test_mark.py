"""What a test started is found and ended, whoever its parent is by then."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from osupervisor.supervisor.heart import pid_file
from tests.mark import Mark, marked
from tests.supervisor.cli.command import start, wait_for, write_brain

SLEEPER = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"]
ORPHANS = (
    "import os, subprocess, sys\n"
    "for _ in range(3):\n"
    f"    subprocess.Popen({SLEEPER!r}, start_new_session=True)\n"
)


def test_a_service_whose_heart_was_revived_is_ended_with_the_supervisor_it_took_over(
    tmp_path: Path,
) -> None:
    write_brain(tmp_path)
    data = str(tmp_path / "data")
    with marked() as mark:
        started = start(tmp_path)
        assert started.returncode == 0, started.stderr
        heart = pid_file.holder(data)
        assert heart is not None
        os.kill(heart, signal.SIGKILL)
        wait_for(lambda: pid_file.holder(data) not in (None, heart))
        assert len(mark.pids()) >= 3, "heart, supervisor, brain"
    assert mark.pids() == []
    assert pid_file.holder(data) is None


def test_orphans_in_sessions_of_their_own_are_ended() -> None:
    with marked() as mark:
        subprocess.run([sys.executable, "-c", ORPHANS], check=True)
        assert len(mark.pids()) == 3
    assert mark.pids() == []


def test_marks_nest() -> None:
    with marked() as outer:
        with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as shared:
            with marked() as inner, subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as own:
                for process in (shared, own):
                    assert process.stdout is not None
                    process.stdout.readline()
                assert (outer.pids(), inner.pids()) == (sorted((shared.pid, own.pid)), [own.pid])
                inner.end()
            assert outer.pids() == [shared.pid]
            outer.end()


def test_a_mark_may_be_given_to_one_process_alone() -> None:
    mark = Mark()
    environ = {**os.environ, **mark.environ}
    with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, env=environ) as marked_one:
        with subprocess.Popen(SLEEPER, stdout=subprocess.PIPE) as other:
            for process in (marked_one, other):
                assert process.stdout is not None
                process.stdout.readline()
            mark.end()
            assert other.poll() is None
            other.kill()
