"""The nursery's head start: when there is one, and what it is."""

import json
import os
import select
import signal
from pathlib import Path

import pytest

from osupervisor.bridge import line
from osupervisor.supervisor.heart.command import PREDECESSOR
from osupervisor.supervisor.heart.spare import SPARE_FD
from osupervisor.supervisor.runtime import head_start

WAIT_S = 60.0
LOG_BYTES_MAX = 4096
BRAIN = """
from osupervisor.brain import Brain, op

class Counter(Brain):
    @op
    def add(self) -> None:
        self.state["n"] = self.state.get("n", 0) + 1
"""


def folder(tmp_path: Path) -> list[str]:
    """A data directory that was used once; the arguments that name its settings."""
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    (data / "hash_seed").write_text("17\n")
    (tmp_path / "brain.py").write_text(BRAIN)
    settings: dict[str, object] = {
        "target": "brain.py:Counter",
        "root": str(tmp_path),
        "data": str(data),
        "logs": {"bytes_max": LOG_BYTES_MAX, "kept": 2},
    }
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"format": 1, "settings": settings}))
    return ["supervisor", "--settings", str(path)]


def test_nursery_says_that_it_is_ready_and_ends_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREDECESSOR, "1 -9")
    found = head_start.begin(folder(tmp_path), {})
    assert found is not None
    assert (found.target, found.hash_seed) == ("brain.py:Counter", "17")
    try:
        assert select.select([found.line], [], [], WAIT_S)[0], "it said nothing"
        datagram = line.receive(found.line)
        assert datagram is not None and datagram.name == "ready"
        environment = Path(f"/proc/{found.process.pid}/environ").read_bytes().split(b"\0")
        assert b"PYTHONHASHSEED=17" in environment
        names = [row.partition(b"=")[0].decode() for row in environment]
        assert PREDECESSOR not in names, "a service that a brain starts would take it for its own"
    finally:
        found.line.close()
        assert found.process.wait(WAIT_S) == 0


@pytest.mark.parametrize(
    "environ", [{SPARE_FD: "3"}, {"LISTEN_FDNAMES": "osupervisor.sock:brain.1.line:brain.1.hot"}]
)
def test_spare_and_heir_of_living_brains_start_none(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    assert head_start.begin(folder(tmp_path), environ) is None


@pytest.mark.parametrize("broken", ["settings.json", "data/hash_seed"])
@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"\xff\xfe"])
def test_what_is_wrong_is_left_for_the_start_to_say(
    tmp_path: Path, broken: str, content: bytes | None
) -> None:
    arguments = folder(tmp_path)
    (tmp_path / broken).unlink()
    if content is not None:
        (tmp_path / broken).write_bytes(content)
    assert head_start.begin(arguments, {}) is None


def test_first_start_has_none(tmp_path: Path) -> None:
    arguments = folder(tmp_path)
    os.rmdir(tmp_path / "data" / "logs")
    (tmp_path / "data" / "logs").write_text("in the way")
    assert head_start.begin(arguments, {}) is None
    assert head_start.begin(["supervisor"], {}) is None


def test_one_that_is_not_wanted_leaves_nothing(tmp_path: Path) -> None:
    found = head_start.begin(folder(tmp_path), {})
    assert found is not None
    found.discard()
    assert found.process.returncode == -signal.SIGKILL and found.line.fileno() == -1
    found.discard()


def test_log_of_earlier_nurseries_is_rotated_when_one_starts(tmp_path: Path) -> None:
    arguments = folder(tmp_path)
    log = tmp_path / "data" / "logs" / "nursery.log"
    log.write_text("x" * (LOG_BYTES_MAX + 1))
    found = head_start.begin(arguments, {})
    assert found is not None
    found.line.close()
    assert found.process.wait(WAIT_S) == 0
    assert log.with_name("nursery.log.1").read_text() == "x" * LOG_BYTES_MAX
    assert log.read_text().startswith('{"time":')
