"""The whole examination on the machine that runs the tests, and on folders of every kind."""

import os
import socket
from pathlib import Path

import pytest

from osupervisor.supervisor.doctor.examine import examine
from osupervisor.supervisor.doctor.finding import Finding

NAMES = {
    "python",
    "uvloop",
    "msgpack",
    "kernel",
    "pidfd_open",
    "pidfd_exit_info",
    "memfd_seals",
    "robust_futex",
    "landlock",
    "seccomp",
    "user_namespaces",
    "cgroup_v2",
    "io_limits",
    "open_files",
    "processes",
    "memory",
    "overcommit",
    "huge_pages",
    "cpus",
    "file_system",
    "disk_free",
    "fsync",
    "clock",
    "clock_kept",
    "clock_source",
    "socket_path",
    "service",
    "leftovers",
}


def found(findings: list[Finding], name: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.name == name]
    return finding


def test_every_check_answers_and_says_what_follows_where_something_is_wrong(
    tmp_path: Path,
) -> None:
    findings = examine(tmp_path)
    assert {finding.name for finding in findings} == NAMES
    for finding in findings:
        assert finding.found and finding.wanted
        assert finding.level in ("ok", "warn", "bad")
        assert finding.level == "ok" or finding.what_follows.endswith((".", "enabled"))


def test_what_tests_need_is_there(tmp_path: Path) -> None:
    findings = examine(tmp_path)
    for name in ("python", "pidfd_open", "memfd_seals", "robust_futex", "fsync", "service"):
        assert found(findings, name).level == "ok", name


def test_nothing_is_left_in_the_folder_and_none_is_made(tmp_path: Path) -> None:
    examine(tmp_path / "not" / "there")
    examine(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_fails_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[Finding]:
        raise ZeroDivisionError("odd machine")

    monkeypatch.setattr("osupervisor.supervisor.doctor.memory.examine", fail)
    finding = found(examine(tmp_path), "memory")
    assert finding.level == "warn"
    assert "odd machine" in finding.found


def test_addresses_of_the_settings_are_tried(tmp_path: Path) -> None:
    """Without its TCP address a service is refused; metrics it serves later."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        tcp = found(examine(tmp_path, {"listen.tcp": address}), "address")
        metrics = found(examine(tmp_path, {"metrics.http": address}), "address")
    assert (tcp.level, metrics.level) == ("bad", "warn")
    for key, finding in (("listen.tcp", tcp), ("metrics.http", metrics)):
        assert address in finding.found and "in use" in finding.found
        assert f"change the setting {key}" in finding.what_follows
    assert "refused" in tcp.what_follows and "complains" in metrics.what_follows
    assert found(examine(tmp_path, {"listen.tcp": address}), "address").level == "ok"
    assert found(examine(tmp_path, {"listen.tcp": "127.0.0.1:0"}), "address").level == "ok"


def test_a_path_too_long_is_warned_of(tmp_path: Path) -> None:
    assert found(examine(tmp_path / ("x" * 120)), "socket_path").level == "warn"


def test_the_socket_of_a_dead_service_is_told_from_one_that_answers(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "run" / "osupervisor.sock"))
        finding = found(examine(tmp_path), "service")
        assert (finding.level, finding.found) == ("warn", "the socket of a dead service")
        listener.listen()
        finding = found(examine(tmp_path), "service")
        assert (finding.level, finding.found) == ("bad", "a socket that answers, without a heart")


def test_leftovers_are_named(tmp_path: Path) -> None:
    (tmp_path / "wal").mkdir()
    for number in range(7):
        (tmp_path / "wal" / f"{number}.wal.torn").write_bytes(b"")
    (tmp_path / "checkpoints" / "00000000000000000007.tmp").mkdir(parents=True)
    finding = found(examine(tmp_path), "leftovers")
    assert finding.level == "warn"
    assert finding.found.startswith("checkpoints/00000000000000000007.tmp, wal/0.wal.torn")
    assert finding.found.endswith("and 3 more")


def test_a_log_from_the_future_is_a_wrong_clock(tmp_path: Path) -> None:
    (tmp_path / "wal").mkdir()
    segment = tmp_path / "wal" / "00000000000000000001.wal"
    segment.write_bytes(b"")
    os.utime(segment, (4e9, 4e9))
    finding = found(examine(tmp_path), "clock")
    assert finding.level == "warn"
    assert "before the log was last written" in finding.found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_one_may_not_write_to_is_bad(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert found(examine(tmp_path), "fsync").level == "bad"
