"""Without --foreground: nothing goes to the terminal, everything to logs/heart.log."""

import os
import subprocess
from pathlib import Path

from tests.supervisor.heart.service import HEART, PARROT, Service, wait_for


def test_messages_and_the_supervisors_stderr_go_to_the_log(service: Service) -> None:
    service.start(foreground=False, words=("complain hello from the supervisor",)).who()
    assert service.stop() == (0, "")
    text = (service.data / "logs" / "heart.log").read_text()
    assert "hello from the supervisor\n" in text
    (first, *_) = service.journal()
    assert set(first) == {"time", "level", "source", "message"}
    assert first["source"] == "heart"


def test_the_standard_descriptors_are_the_log_in_heart_and_supervisor(service: Service) -> None:
    pid = service.start(foreground=False).who()["pid"]
    log = str(service.data / "logs" / "heart.log")
    for process in (service.pid, pid):
        for fd in (1, 2):
            assert os.readlink(f"/proc/{process}/fd/{fd}") == log


def test_the_log_is_rotated_before_a_start_and_old_files_go(service: Service) -> None:
    service.start("--log-bytes", "300", "--logs-kept", "2", "--healthy", "0", foreground=False)
    for _ in range(8):
        pid = service.kill_supervisor()
        service.next_supervisor(pid)
    service.stop()
    assert sorted(os.listdir(service.data / "logs")) == [
        "heart.log",
        "heart.log.1",
        "heart.log.2",
    ]
    assert (service.data / "logs" / "heart.log").stat().st_size < 1000


def test_a_log_that_cannot_be_written_stops_nothing(service: Service) -> None:
    service.data.mkdir()
    (service.data / "logs").write_text("in the way")
    service.start(foreground=False).who()
    status, stderr = service.stop()
    assert status == 0
    assert "messages go to stderr alone" in stderr


def test_a_full_disk_stops_nothing(service: Service) -> None:
    (service.data / "logs").mkdir(parents=True)
    (service.data / "logs" / "heart.log").symlink_to("/dev/full")
    service.start(foreground=False)
    service.next_supervisor(service.kill_supervisor())
    assert service.stop()[0] == 0


def test_a_stderr_that_nobody_reads_stops_nothing(service: Service) -> None:
    service.start("--healthy", "0")
    service.ask("complain " + "x" * 60_000)
    for _ in range(30):
        service.next_supervisor(service.kill_supervisor())
    assert len(service.journal()) >= 60


def test_heart_starts_with_its_standard_descriptors_closed(service: Service) -> None:
    script = 'exec "$@" 0<&- 1>&- 2>&-'
    command = [*HEART, "--data", str(service.data), "--", *PARROT]
    service.process = subprocess.Popen(
        ["sh", "-c", script, "sh", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **service.mark.environ},
    )
    who = service.who()
    assert who["listeners"] == ["osupervisor.sock"]
    wait_for(lambda: Path(f"/proc/{who['pid']}/fd/0").exists())
    assert os.readlink(f"/proc/{who['pid']}/fd/0") == "/dev/null"
    assert service.stop()[0] == 0
