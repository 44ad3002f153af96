"""Each end-to-end benchmark runs to its end at its tiniest, and reports what it should.

No time is looked at: a figure's value means nothing at this size. That nothing is failed, lost or
doubled does.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

BENCHMARKS: Final = Path(__file__).parents[2] / "benchmarks"
PATIENCE_S: Final = 120.0

FIGURES: Final[dict[str, list[str]]] = {
    "kill_primary": ["next answer, p50", "next answer, p99", "failed, lost, doubled"],
    "kill_primary --state 2MB": ["large state: next answer, p50", "p99", "failed, lost, doubled"],
    "kill_supervisor": ["next answer, p50", "next answer, worst", "failed, lost, doubled"],
    "throughput": [
        "100 in flight, everysec",
        "batches of 100",
        "closed loop",
        "64 clients, always",
    ],
    "supervisor_loop": ["supervisor, CPU per call"],
    "cold_start": ["after a stop", "after a kill", "from the log alone"],
    "checkpoint_pause": ["slowest request during a checkpoint"],
    "memory": ["fresh", "empty table", "full table", "MB of state, empty", "MB of state, full"],
    "wal_bytes": ["library keys", "string keys"],
}
BESIDE_REDIS: Final = {"throughput", "cold_start"}
FIELDS: Final = {
    *("name", "unit", "value", "at_most", "at_least", "met"),
    *("peer", "peer_value", "ratio", "details"),
}


def run(command: str, *more: str) -> subprocess.CompletedProcess[str]:
    script, *arguments = command.split()
    argv = [sys.executable, str(BENCHMARKS / f"{script}.py"), *arguments, *more]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, ends_all: None) -> Iterator[Path]:
    """For temporary files; its name is short, because Redis' socket stands below it."""
    with tempfile.TemporaryDirectory(prefix="b-") as name:
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def report_of(command: str, folder: Path) -> dict[str, Any]:
    """What a tiny run says; it leaves no process and no file in `folder`."""
    done = run(command, "--tiny", "--json")
    assert done.returncode == 0, done.stderr
    assert left_behind(folder) == []
    assert list(folder.iterdir()) == []
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def left_behind(folder: Path) -> list[str]:
    """Commands of processes that work in `folder`."""
    found: list[str] = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = Path("/proc", entry, "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command:
            found.append(command.replace("\0", " "))
    return found


@pytest.mark.parametrize("command", FIGURES)
def test_a_benchmark_runs_and_reports_its_figures(command: str, folder: Path) -> None:
    script = command.split()[0]
    lacking = lacking_for_redis()
    if script in BESIDE_REDIS and lacking:
        pytest.skip(lacking)
    report = report_of(command, folder)
    assert report["benchmark"] == script
    assert report["mode"] == "tiny"
    assert {"load_before", "load_after", "seconds", "command"} <= report.keys()
    about = {"cpu", "cpus", "memory_gib", "kernel", "python", "compiled"}
    assert about == report["machine"].keys()
    names = [figure["name"] for figure in report["figures"]]
    for name, expected in zip(names, FIGURES[command], strict=True):
        assert expected in name
    for figure in report["figures"]:
        assert figure.keys() == FIELDS
        if figure["name"].endswith("failed, lost, doubled"):
            assert figure["value"] == 0, figure["details"]
        elif figure["peer"]:
            assert figure["peer_value"] > 0


def lacking_for_redis() -> str:
    """What a comparison with Redis lacks here."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed"
    return "" if importlib.util.find_spec("redis") else "the package redis is not installed"


def test_a_figure_without_json_is_a_line_for_people() -> None:
    done = run("wal_bytes", "--tiny")
    assert done.returncode == 0, done.stderr
    assert "wal_bytes.py --tiny:" in done.stdout
    assert "goal <= 1.30 met" in done.stdout


def test_a_run_of_all_writes_a_dated_section_before_the_older_ones(tmp_path: Path) -> None:
    results = tmp_path / "RESULTS.md"
    arguments = ["--tiny", "--only", "wal_bytes", "--only", "wal_append", "--output", str(results)]
    for _ in range(2):
        done = run("run_all", *arguments)
        assert done.returncode == 0, done.stderr
    text = results.read_text()
    assert text.startswith("# Results\n")
    assert text.count("UTC, tiny\n") == 2
    assert text.count("| log bytes by port bytes, library keys |") == 2
    assert text.count("rate to bare write and CRC |") == 4
    assert "`python benchmarks/wal_append.py --rounds 1` (" in text


def test_a_benchmark_that_fails_is_told_in_the_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "RESULTS.md"
    monkeypatch.setenv("OSUPERVISOR_WINDOW", "none")
    done = run("run_all", "--tiny", "--only", "wal_bytes", "--output", str(results))
    assert done.returncode == 1
    assert "**failed**" in results.read_text()
    assert "window" in results.read_text()


def test_an_unknown_benchmark_is_refused_with_the_names() -> None:
    done = run("run_all", "--only", "nothing")
    assert done.returncode == 2
    assert "kill_primary" in done.stderr
