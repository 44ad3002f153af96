"""`osupervisor wal`, on the log of a live service and on copies that were harmed."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import ServiceError
from osupervisor.wal.lock import DirectoryLock
from tests.supervisor.cli.command import Cli, start, wait_for


@pytest.fixture(scope="module")
def filled(running: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as a kill would leave it: calls, two of them failed, and behind them a record that
    knows them to be on the disk."""
    with Client(running / "data") as client:
        for number in range(20):
            client.call("add", "hits", n=number)
        for op in ("boom", "nope", "no\nsuch\x1b[1m"):
            with pytest.raises(ServiceError):
                client.call(op)
        written: int = client.status()["lsn"]
        wait_for(lambda: client.status()["durable_lsn"] >= written)
        client.call("add", "hits")
    folder = tmp_path_factory.mktemp("log")
    shutil.copytree(running / "data" / "wal", folder / "data" / "wal")
    return folder


@pytest.fixture
def copied(filled: Path, cli: Cli) -> Cli:
    """The command line on a copy of that log, to be harmed."""
    shutil.copytree(filled / "data" / "wal", cli.folder / "data" / "wal")
    return cli


def records(cli: Cli, *options: str) -> list[dict[str, Any]]:
    return [json.loads(row) for row in cli.ok("wal", "dump", "--json", *options).splitlines()]


def harm(cli: Cli, lsn: int) -> Path:
    """Flip a bit in the body of a record."""
    record = next(each for each in records(cli) if each["lsn"] == lsn)
    path = cli.folder / "data" / "wal" / str(record["segment"])
    content = bytearray(path.read_bytes())
    content[record["offset"] + record["bytes"] // 2] ^= 1
    path.write_bytes(content)
    return path


def test_a_dumped_commit_is_readable(copied: Cli) -> None:
    commit = next(
        each for each in records(copied) if each["kind"] == "commit" and each["request"]["kwargs"]
    )
    assert commit["request"]["op"] == "add"
    assert commit["request"]["args"] == ["hits"]
    assert set(commit["request"]) == {"op", "args", "kwargs", "t_us", "seed"}
    assert set(commit["key"]) == {"client", "number", "seen"}
    assert commit["commit"]["error"] is None
    assert commit["commit"]["ops"][0][:2] == ["SET", ["state", "hits"]]
    assert commit["commit"]["effects"] == []


def test_failures_are_commits_without_operations(copied: Cli) -> None:
    commits = [each["commit"] for each in records(copied) if each["kind"] == "commit"]
    failed = [commit for commit in commits if commit["error"]]
    assert {commit["error"]["code"] for commit in failed} >= {"OpFailed", "OpNotFound"}
    assert all(commit["ops"] == [] for commit in failed)


def test_people_get_a_line_for_each_record(copied: Cli) -> None:
    lines = copied.ok("wal", "dump").splitlines()
    assert len(lines) == len(records(copied))
    assert any('add("hits", n=3) -> ' in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert any("no such [1m()" in line for line in lines)


def test_a_range_of_records(copied: Cli) -> None:
    assert [each["lsn"] for each in records(copied, "--from", "3", "--to", "5")] == [3, 4, 5]
    assert records(copied, "--from", "100000") == []


def test_segments_are_listed(copied: Cli) -> None:
    first, *_ = copied.json("wal", "ls")
    assert first["first_lsn"] == 1
    assert first["name"] in copied.ok("wal", "ls")


def test_a_whole_log_verifies_and_needs_no_repair(copied: Cli) -> None:
    report = copied.json("wal", "verify")
    assert report["ok"] is True
    assert report["records"] == len(records(copied))
    assert copied.json("wal", "repair")["done"] is False
    assert "nothing to mend" in copied.ok("wal", "repair")


def test_damage_is_found_named_and_mended(copied: Cli) -> None:
    path = harm(copied, 5)
    ran = copied("wal", "verify", "--json")
    assert (ran.code, ran.error()["code"]) == (1, "Damaged")
    (damage,) = ran.json()["damage"]
    assert (Path(damage["file"]).name, damage["lsn"]) == (path.name, 5)
    assert "wal repair" in ran.error()["hint"]
    shown = copied.ok("wal", "dump")
    assert f"! damaged: {path} at offset {damage['offset']}, lsn 5: {damage['reason']}" in shown
    assert path.name in copied("wal", "verify").out
    planned = copied.ok("wal", "repair", "--dry-run")
    assert "would lose" in planned and "would set aside as" in planned
    assert copied("wal", "verify").code == 1
    assert copied.json("wal", "repair")["kept"] == [1, 4]
    assert copied.json("wal", "verify")["ok"] is True
    assert list(path.parent.glob("*.broken*"))


def test_a_damaged_log_is_not_started_from_and_says_how_to_mend_it(copied: Cli) -> None:
    harm(copied, 5)
    ran = start(copied.folder, "--json")
    error = json.loads(ran.stderr.splitlines()[-1])
    assert (ran.returncode, error["code"]) == (1, "Refused")
    assert "osupervisor wal repair" in error["message"]
    copied.ok("wal", "repair")
    assert start(copied.folder).returncode == 0
    assert copied.status()["state"] == "ready"


def test_repair_is_refused_while_a_service_runs(live: Cli) -> None:
    ran = live("wal", "repair", "--json")
    assert (ran.code, ran.error()["code"]) == (1, "AlreadyRunning")
    assert ran.error()["data"]["pid"] == live.status()["supervisor"]["pid"]


def test_repair_is_refused_while_anyone_holds_the_lock(copied: Cli) -> None:
    lock = DirectoryLock.acquire(copied.folder / "data")
    try:
        assert copied("wal", "repair").code == 1
    finally:
        lock.release()
    assert copied("wal", "repair").code == 0


@pytest.mark.parametrize("action", ["ls", "dump", "verify", "repair"])
def test_where_no_log_is(cli: Cli, action: str) -> None:
    ran = cli("wal", action)
    assert ran.code == 1
    assert "--data" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["dump", "--from", "0"],
        ["dump", "--to", "x"],
        ["dump", "--from", "9", "--to", "3"],
        ["mend"],
    ],
)
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli("wal", *arguments).code == 2
