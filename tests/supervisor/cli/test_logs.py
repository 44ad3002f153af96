"""`osupervisor logs` and `crashes`: files, read with the service or without it."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from osupervisor.supervisor.reports.crash_report import Cause, CrashReport, LastRequest, report_id
from osupervisor.supervisor.reports.crash_store import CrashStore
from tests.supervisor.cli.command import PATIENCE_S, SCRIPT, Cli, wait_for

LINE = '{{"time":"2026-11-20T11:03:2{0}.123Z","level":"{1}","source":"{2}","message":"{3}"}}\n'


@pytest.fixture
def logged(cli: Cli) -> Path:
    """The folder of the logs, with three lines."""
    folder = cli.folder / "data" / "logs"
    folder.mkdir(parents=True)
    (folder / "heart.log").write_text(LINE.format(1, "info", "heart", "first"))
    lines = [
        LINE.format(0, "error", "supervisor", "zeroth"),
        LINE.format(2, "warning", "supervisor", "second"),
    ]
    (folder / "supervisor.log").write_text("".join(lines))
    return folder


def messages(cli: Cli, *options: str) -> list[str]:
    rows = cli.ok("logs", "--json", *options).splitlines()
    return [json.loads(row)["message"] for row in rows]


def test_all_files_are_merged_by_time(cli: Cli, logged: Path) -> None:
    assert messages(cli) == ["zeroth", "first", "second"]
    assert "warning supervisor  second" in cli.ok("logs")


def test_lines_are_chosen(cli: Cli, logged: Path) -> None:
    assert messages(cli, "-n", "1") == ["second"]
    assert messages(cli, "--level", "warning") == ["zeroth", "second"]
    assert messages(cli, "--source", "heart") == ["first"]
    assert messages(cli, "-n", "0") == []


def test_lines_are_counted_behind_the_filters(cli: Cli, logged: Path) -> None:
    with open(logged / "heart.log", "a") as file:
        file.writelines(LINE.format(3, "info", "heart", f"beat {n}") for n in range(150))
    assert messages(cli, "-n", "1", "--level", "warning") == ["second"]
    assert messages(cli, "-n", "2", "--source", "supervisor") == ["zeroth", "second"]
    assert messages(cli, "--source", "supervisor") == ["zeroth", "second"]
    assert messages(cli, "-n", "2") == ["beat 148", "beat 149"]
    assert messages(cli, "-n", "0", "--level", "warning") == []


def test_a_file_without_times_is_of_when_it_was_written_last(cli: Cli, logged: Path) -> None:
    """nursery.log: what the brain's code prints while it is imported."""
    path = logged / "nursery.log"
    path.write_text("Traceback ...\nValueError: no\n")
    unix_s = datetime(2026, 11, 20, 11, 3, 21, 500_000, UTC).timestamp()
    os.utime(path, (unix_s, unix_s))
    assert messages(cli) == ["zeroth", "first", "Traceback ...", "ValueError: no", "second"]
    assert messages(cli, "-n", "2") == ["ValueError: no", "second"]


def test_lines_before_the_first_time_of_a_file_are_of_that_time(cli: Cli, logged: Path) -> None:
    lines = (logged / "heart.log").read_text()
    (logged / "heart.log").write_text("Traceback ...\n" + lines)
    assert messages(cli) == ["zeroth", "Traceback ...", "first", "second"]


@pytest.fixture
def brains_logged(logged: Path) -> Path:
    """With a line of each of two brains, which stand in the supervisor's file."""
    with open(logged / "supervisor.log", "a") as file:
        file.write(LINE.format(3, "info", "brain-1", "third"))
        file.write(LINE.format(4, "info", "brain-12", "fourth"))
    return logged


def test_a_source_is_one_brain_or_all(cli: Cli, brains_logged: Path) -> None:
    assert messages(cli, "--source", "brain") == ["third", "fourth"]
    assert messages(cli, "--source", "brain-1") == ["third"]
    assert messages(cli, "--source", "supervisor") == ["zeroth", "second"]
    assert messages(cli, "--source", "nursery") == []


@pytest.mark.parametrize("source", ["brian", "brain-7", "brain-", "", "heart.log"])
def test_an_unknown_source_is_told_which_there_are(
    cli: Cli, brains_logged: Path, source: str
) -> None:
    ran = cli("logs", "--source", source, "--json")
    assert ran.code == 2
    assert ran.error()["data"]["sources"] == [
        *("brain", "brain-1", "brain-12", "heart", "nursery", "supervisor")
    ]
    assert "brain-12" in ran.error()["hint"]


def test_a_brain_to_come_can_be_followed(cli: Cli, brains_logged: Path) -> None:
    command = [SCRIPT, "logs", "-f", "--source", "brain-7", "--json"]
    with subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            with open(brains_logged / "heart.log", "a") as file:
                file.write(LINE.format(5, "info", "brain-7", "fifth"))
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["message"] == "fifth"
        finally:
            process.kill()


def test_following_shows_what_comes(cli: Cli, logged: Path) -> None:
    command = [SCRIPT, "logs", "-f", "-n", "1", "--json"]
    with subprocess.Popen(command, cwd=cli.folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["message"] == "second"
            with open(logged / "heart.log", "a") as file:
                file.write(LINE.format(3, "info", "heart", "third"))
            assert json.loads(process.stdout.readline())["message"] == "third"
        finally:
            process.kill()


def test_a_reader_that_leaves_ends_it(cli: Cli, logged: Path) -> None:
    with open(logged / "heart.log", "a") as file:
        file.writelines(LINE.format(3, "info", "heart", "x" * 100) for _ in range(2000))
    here, there = os.pipe()
    process = subprocess.Popen([SCRIPT, "logs", "-n", "5000"], cwd=cli.folder, stdout=there)
    os.close(there)
    assert os.read(here, 10)
    os.close(here)
    assert process.wait(timeout=PATIENCE_S) == 1


def test_where_no_logs_are(cli: Cli) -> None:
    ran = cli("logs")
    assert ran.code == 1
    assert "--data" in ran.err


@pytest.mark.parametrize("arguments", [["--level", "loud"], ["-n", "-1"], ["-n", "x"], ["x"]])
def test_wrong_usage_of_logs(cli: Cli, arguments: list[str]) -> None:
    assert cli("logs", *arguments).code == 2


def test_a_running_service_logs_its_lease(live: Cli) -> None:
    wait_for(lambda: "lease.granted" in live.ok("logs"))


@pytest.fixture
def report(cli: Cli) -> CrashReport:
    """A crash report in the store."""
    made = CrashReport(
        id=report_id(1763636400.123, 812),
        unix_s=1763636400.123,
        role="primary",
        cause=Cause("signal", 9, "SIGKILL"),
        brain="b7",
        pid=812,
        traceback="Traceback: here\n",
        request=LastRequest("place", "k1"),
        output=("its last words",),
        memory={"rss_bytes": 81264640},
        took_over="b8",
        lsn=4711,
        epoch=3,
    )
    CrashStore(cli.folder / "data" / "crashes").put(made)
    return made


def test_crashes_are_listed_and_shown(cli: Cli, report: CrashReport) -> None:
    (found,) = cli.json("crashes", "ls")
    assert found["id"] == report.id
    assert cli.json("crashes", "show", report.id) == found
    assert found["request"] == {"op": "place", "key": "k1"}
    row = cli.ok("crashes", "ls").splitlines()[1]
    assert all(word in row for word in (report.id, "primary", "812", "SIGKILL", "place", "b8"))
    text = cli.ok("crashes", "show", report.id)
    assert all(word in text for word in ("SIGKILL", "Traceback: here", "its last words", "4711"))


def test_a_file_that_is_no_report_is_listed_as_such(cli: Cli, report: CrashReport) -> None:
    path = cli.folder / "data" / "crashes" / f"{report.id}.json"
    path.write_text("{}")
    assert "unreadable" in cli.ok("crashes", "ls")
    assert cli("crashes", "show", report.id).code == 1


def test_a_report_that_there_isnt(cli: Cli) -> None:
    assert cli.json("crashes", "ls") == []
    ran = cli("crashes", "show", "1763636400123-812", "--json")
    assert ran.code == 1
    assert "crashes ls" in ran.error()["hint"]


@pytest.mark.parametrize("arguments", [["show"], ["nope"], ["ls", "x"]])
def test_wrong_usage_of_crashes(cli: Cli, arguments: list[str]) -> None:
    assert cli("crashes", *arguments).code == 2
