"""A full disk, a damaged log, a damaged checkpoint: said, survived, never served as good."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import psutil
import pytest

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import ReadOnly, Unavailable
from tests.end_to_end.running import Running, is_gone, wait_for

Start = Callable[..., Running]
DISK_BYTES = 1_500_000
SMALL = '[wal]\nsegment_bytes_max = "64KiB"\nheal_interval_s = 0.1\n'


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A folder on a file system that is soon full."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("this machine lets us mount no tmpfs: doctor says so too")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_makes_it_read_only_until_there_is_room(small_disk: Path) -> None:
    service = Running(small_disk / "service", SMALL)
    try:
        service.client.call("add", "x", 1)
        filler = _fill(small_disk)
        with Client(service.data, timeout_s=30, retries=False) as impatient:
            refused = False
            written = 0
            for number in range(2000):
                try:
                    impatient.call("store", f"k{number % 3}", "v" * 1000)
                    written += 1
                except ReadOnly:
                    refused = True
                    break
            assert refused, "the disk never was full"
            assert impatient.call("get", "x") == 1
            assert impatient.state(["x"]) == 1
            assert service.status()["state"] == "readonly"
        filler.unlink()
        wait_for(lambda: service.status()["state"] == "ready", "its healing")
        assert service.client.call("add", "x", 1) == 2
        service.kill("primary")
        assert service.client.call("add", "x", 1) == 3
    finally:
        service.close()


def test_a_supervisor_that_dies_while_the_disk_is_full_is_started_until_there_is_room(
    small_disk: Path,
) -> None:
    service = Running(small_disk / "service", SMALL)
    try:
        service.client.call("add", "x", 1)
        heart = service.pid("heart")
        filler = _fill(small_disk)
        dead = service.pid("supervisor")
        tried = {dead}
        os.kill(dead, signal.SIGSEGV)

        def tries_again() -> bool:
            tried.update(_supervisors(heart))
            return len(tried) > 2 or is_gone(heart)

        wait_for(tries_again, "a second try")
        assert not is_gone(heart), "a full disk ended the service"
        filler.unlink()
        assert service.client.call("add", "x", 1) == 2
        _check_that_both_are_reported(service, dead)
    finally:
        service.close()


def _check_that_both_are_reported(service: Running, dead: int) -> None:
    """The death that began it, with what it said, and the last try."""

    def reports() -> list[dict[str, Any]]:
        rows = service.client.request("system.crashes", ["ls"])
        rows = [row for row in rows if row["role"] == "supervisor"]
        return [service.client.request("system.crashes", ["show", row["id"]]) for row in rows]

    wait_for(lambda: len(reports()) == 2, "two reports")
    found = {report["pid"] == dead: report for report in reports()}
    assert found[True]["cause"]["name"] == "SIGSEGV"
    assert "Fatal Python error" in found[True]["traceback"]
    assert found[False]["cause"]["number"] == 74
    assert "it could not start" in found[False]["traceback"]


def _fill(folder: Path) -> Path:
    """Takes all room on the file system that `folder` is on; gives the file that has it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def _supervisors(heart: int) -> set[int]:
    """The supervisors that this heart has just now: processes that run, or are to be reaped."""
    found = set[int]()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(heart).children():
            with contextlib.suppress(psutil.Error):
                if "osupervisor.supervisor.runtime" in child.cmdline():
                    found.add(child.pid)
    return found


def test_a_damaged_log_is_named_and_refused_until_repaired(start: Start) -> None:
    service = start()
    durable = service.client.with_options(durability="always")
    for number in range(30):
        durable.call("put", f"token-{number}")
    service.kill_everything()
    segment = sorted((service.data / "wal").glob("*.wal"))[-1]
    content = bytearray(segment.read_bytes())
    content[content.index(b"token-10") + 2] ^= 0x01
    segment.write_bytes(content)

    verified = service.run("wal", "verify")
    assert verified.returncode == 1
    assert segment.name in verified.stdout + verified.stderr
    refused = service.run("start", "--daemon")
    assert refused.returncode == 1
    assert segment.name in refused.stderr and "wal repair" in refused.stderr

    repaired = service.run("wal", "repair")
    assert repaired.returncode == 0, repaired.stderr
    service.start()
    assert service.tokens() == [f"token-{number}" for number in range(10)]


def test_damage_that_a_brain_meets_is_refused_as_that_which_the_supervisor_meets(
    start: Start,
) -> None:
    """The supervisor reads from the newest control record on; a brain without a checkpoint reads
    everything, and finds it when the service has begun already."""
    service = start()
    for number in range(30):
        service.client.put(f"token-{number}")
    service.client.request("system.checkpoint")
    service.kill_everything()
    shutil.rmtree(service.data / "checkpoints")
    segment = sorted((service.data / "wal").glob("*.wal"))[0]
    content = bytearray(segment.read_bytes())
    content[content.index(b"token-10") + 2] ^= 0x01
    segment.write_bytes(content)

    detached = service.run("start", "--daemon", "--json")
    assert detached.returncode == 1
    said = json.loads(detached.stderr)
    assert said["code"] == "Refused"
    assert segment.name in said["message"] and "wal repair" in said["message"]
    attached = service.run("start")
    assert attached.returncode == 1
    assert segment.name in attached.stderr.splitlines()[-1]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(start: Start) -> None:
    service = start()
    for number in range(30):
        service.client.put(str(number))
        if number % 10 == 9:
            service.client.request("system.checkpoint")
    newest = sorted((service.data / "checkpoints").iterdir())[-1]
    service.kill_everything()
    state = newest / "state.zst"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 0x40
    state.write_bytes(content)
    verified = service.run("checkpoints", "verify")
    assert verified.returncode == 1 and newest.name.lstrip("0") in verified.stdout + verified.stderr
    service.start()
    assert service.tokens() == [str(number) for number in range(30)]
    assert not newest.exists()
    (said,) = [row for row in service.log() if row["message"] == "checkpoint.damaged"]
    assert said["path"] == str(newest.with_suffix(".damaged") / "state.zst")
    assert 0 <= said["offset"] <= len(content) and said["reason"]


def test_an_empty_log_beside_checkpoints_is_refused(start: Start) -> None:
    service = start()
    service.client.put("a")
    service.client.request("system.checkpoint")
    service.kill_everything()
    shutil.rmtree(service.data / "wal")
    refused = service.run("start", "--daemon")
    assert refused.returncode == 1
    assert "checkpoint" in refused.stderr


def test_a_checkpoint_that_cant_be_begun_is_said_and_harms_nobody(start: Start) -> None:
    service = start()
    service.client.put("a")
    brains = service.pid("primary"), service.pid("standby")
    folder = service.data / "checkpoints"
    folder.rename(service.data / "aside")
    folder.write_text("no folder")
    with Client(service.data, retries=False) as impatient, pytest.raises(Unavailable):
        impatient.request("system.checkpoint")
    service.client.put("b")
    folder.unlink()
    (service.data / "aside").rename(folder)
    service.client.request("system.checkpoint")
    assert (service.pid("primary"), service.pid("standby")) == brains
    assert [row for row in service.log() if row["message"] == "checkpoint.failed"]
