"""systemd's place, above heart and in place of it: the protocols are systemd's own."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from osupervisor.supervisor.heart.notification import parse
from tests.mark import Mark
from tests.supervisor.heart.service import HEART, PARROT, Service


class Manager:
    """A NOTIFY_SOCKET that remembers what it is told."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)
        self.environ = {"NOTIFY_SOCKET": str(path)}
        self.heard: list[dict[str, str]] = []

    def wait_for(self, name: str, value: str) -> None:
        while not any(fields.get(name) == value for fields in self.heard):
            self.heard.append(parse(self.socket.recv(10_000)))
        self.heard.clear()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "manager.sock")
    yield made
    made.socket.close()


def test_ready_status_and_stopping_are_passed_on(service: Service, manager: Manager) -> None:
    service.start(environ=manager.environ)
    manager.wait_for("READY", "1")
    service.ask("status half way")
    manager.wait_for("STATUS", "half way")
    os.kill(service.pid, signal.SIGTERM)
    manager.wait_for("STOPPING", "1")
    assert service.end()[0] == 0


def test_watchdog_is_fed_also_while_the_supervisor_starts(
    service: Service, manager: Manager
) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "200000"}
    service.start(environ=environ, words=("sleep 1",))
    for _ in range(3):
        manager.wait_for("WATCHDOG", "1")
    manager.wait_for("READY", "1")
    manager.wait_for("WATCHDOG", "1")


def test_a_refusal_is_told_with_its_reason(service: Service, manager: Manager) -> None:
    service.start(environ=manager.environ, words=("refuse no disk",))
    manager.wait_for("STATUS", "no disk")
    manager.wait_for("EXIT_STATUS", "78")
    assert service.end()[0] == 1


def test_hearts_own_refusal_is_told_too(service: Service, manager: Manager) -> None:
    service.start("--tcp", "nonsense", environ=manager.environ)
    manager.wait_for("EXIT_STATUS", "78")
    assert service.end()[0] == 1


def test_a_manager_that_is_gone_stops_nothing(service: Service, manager: Manager) -> None:
    manager.socket.close()
    service.start(environ={**manager.environ, "WATCHDOG_USEC": "100000"}).who()
    service.next_supervisor(service.kill_supervisor())
    assert service.stop()[0] == 0


def test_the_supervisor_does_not_talk_to_the_manager_itself(
    service: Service, manager: Manager
) -> None:
    environ = {**manager.environ, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}
    assert service.start("--watchdog", "5", environ=environ).who()["watchdog_s"] == 5


ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


def activate(
    listener: socket.socket, name: str, command: list[str], mark: Mark | None = None
) -> "subprocess.Popen[str]":
    """Start a program with a listening socket, as systemd's socket units do."""
    return subprocess.Popen(
        [sys.executable, "-c", ACTIVATE, str(listener.fileno()), name, *command],
        pass_fds=[listener.fileno()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(mark.environ if mark is not None else {})},
    )


def ask(path: Path, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(command.encode() + b"\n")
        with client.makefile() as file:
            return file.readline()


def test_heart_takes_listening_sockets_from_the_manager(service: Service, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "given.sock"))
        listener.listen()
        command = [*HEART, "--data", str(service.data), "--foreground", "--", *PARROT]
        service.process = activate(listener, "given.socket", command, service.mark)
        assert '"listeners": ["given.socket"]' in ask(tmp_path / "given.sock", "who")
    assert not (service.data / "run" / "osupervisor.sock").exists()


def test_a_supervisor_runs_without_heart_under_a_manager_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "given.sock"))
        listener.listen()
        parrot = activate(listener, "given.socket", PARROT)
        try:
            assert '"watchdog_s": null' in ask(tmp_path / "given.sock", "who")
            assert ask(tmp_path / "given.sock", "store brain.1.hot") == "0\n"
        finally:
            parrot.kill()
            parrot.communicate()


def test_descriptors_meant_for_another_process_are_left_alone(tmp_path: Path) -> None:
    script = (
        "from osupervisor.supervisor.heart.launch import receive_inheritance\n"
        "found = receive_inheritance()\n"
        "print(found.listeners, found.stored, found.watchdog_s, found.heart)\n"
    )
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}
    answer = subprocess.check_output(
        [sys.executable, "-c", script], env={**os.environ, **environ}, text=True
    )
    assert answer == "{} {} None None\n"
