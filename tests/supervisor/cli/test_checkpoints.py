"""`osupervisor checkpoint` and `checkpoints`, on a live service and on files that were harmed."""

import shutil
from pathlib import Path

import pytest

from tests.supervisor.cli.command import Cli


@pytest.fixture
def harmed(live: Cli, cli: Cli) -> Cli:
    """The command line on a copy of a data directory, whose newest checkpoint lost a bit."""
    live.ok("call", "add", "hits")
    written = live.json("checkpoint")
    shutil.copytree(live.folder / "data" / "checkpoints", cli.folder / "data" / "checkpoints")
    folder = cli.folder / "data" / "checkpoints" / f"{written['lsn']:020d}"
    content = bytearray((folder / "state.zst").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "state.zst").write_bytes(content)
    return cli


def test_a_checkpoint_is_there_when_the_command_returns(live: Cli) -> None:
    live.ok("call", "add", "hits")
    written = live.json("checkpoint")
    newest, *_ = live.json("checkpoints", "ls")
    assert newest["lsn"] == written["lsn"]
    assert newest["whole"] is True
    assert newest["bytes"] == written["bytes"]
    live.ok("call", "add", "hits")
    assert "checkpoint of lsn" in live.ok("checkpoint")
    assert str(newest["lsn"]) in live.ok("checkpoints", "ls")


def test_verify_reads_every_byte(live: Cli) -> None:
    live.ok("call", "add", "hits")
    written = live.json("checkpoint")
    report = live.json("checkpoints", "verify")
    assert report["ok"] is True
    assert written["lsn"] in [each["lsn"] for each in report["checkpoints"]]
    (one,) = live.json("checkpoints", "verify", str(written["lsn"]))["checkpoints"]
    assert one["whole"] is True


def test_damage_is_named_by_file_and_offset(harmed: Cli) -> None:
    ran = harmed("checkpoints", "verify", "--json")
    assert ran.code == 1
    assert ran.error()["code"] == "Damaged"
    report = ran.json()
    damaged = [each for each in report["checkpoints"] if not each["whole"]]
    assert report["ok"] is False
    assert [each["lsn"] for each in damaged] == ran.error()["data"]["lsns"]
    assert Path(damaged[0]["file"]).name == "state.zst"
    assert isinstance(damaged[0]["offset"], int)


def test_one_that_there_isnt(cli: Cli) -> None:
    assert cli("checkpoints", "verify", "4711").code == 1
    assert cli.json("checkpoints", "ls") == []
    assert cli.json("checkpoints", "verify") == {"ok": True, "checkpoints": []}


def test_a_checkpoint_needs_the_service(cli: Cli) -> None:
    assert cli("checkpoint").code == 3


@pytest.mark.parametrize("arguments", [["verify", "newest"], ["verify", "-1"], ["rm"]])
def test_wrong_usage(cli: Cli, arguments: list[str]) -> None:
    assert cli("checkpoints", *arguments).code == 2
