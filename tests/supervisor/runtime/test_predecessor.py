"""The report of a supervisor's death, written by the next one."""

import os
import signal
from pathlib import Path

import pytest

from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.heart.launch import Predecessor
from osupervisor.supervisor.runtime.history import LastWords
from osupervisor.supervisor.runtime.predecessor import LOG_BYTES, LOG_LINES, report

NOTHING = LastWords(0, "")


def fold() -> Fold:
    return Fold(1, 1, 1)


@pytest.mark.parametrize(
    ("status", "kind", "number", "name"),
    [
        (-signal.SIGKILL, "signal", 9, "SIGKILL"),
        (70, "exit_code", 70, "70 (EX_SOFTWARE)"),
        (None, "unknown", None, ""),
    ],
)
def test_the_cause_is_what_heart_saw(
    status: int | None, kind: str, number: int | None, name: str, tmp_path: Path
) -> None:
    found = report(Predecessor(7, status), NOTHING, tmp_path / "none.log", fold())
    assert (found.cause.kind, found.cause.number, found.cause.name) == (kind, number, name)
    assert (found.role, found.pid, found.traceback, found.output) == ("supervisor", 7, None, ())
    assert found.took_over == f"supervisor, process {os.getpid()}"


def test_words_count_only_when_they_are_its_own(tmp_path: Path) -> None:
    """One that died before it could begin left none: those in the history are another's."""
    for pid, wanted in ((7, "Fatal"), (8, None)):
        found = report(Predecessor(7, -11), LastWords(pid, "Fatal"), tmp_path / "log", fold())
        assert found.traceback == wanted


def test_the_output_is_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "supervisor.log"
    lines = [f'{{"level":"info","source":"supervisor","message":"m{n}"}}' for n in range(1000)]
    log.write_text("\n".join(lines) + "\n")
    assert log.stat().st_size > LOG_BYTES
    output = report(Predecessor(7, 1), NOTHING, log, fold()).output
    assert len(output) == LOG_LINES and "m999" in output[-1]
