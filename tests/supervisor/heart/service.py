"""A real heart with a real supervisor (`programs/parrot.py`), for tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osupervisor.supervisor.heart.run_folder import RunFolder
from tests.mark import Mark

PARROT = [sys.executable, "-B", str(Path(__file__).parent / "programs" / "parrot.py")]
HEART = [sys.executable, "-m", "osupervisor.supervisor.heart"]
PATIENCE_S = 20.0


class Service:
    """One heart on one data folder, ended with all its processes at the end of the test."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.process: subprocess.Popen[str] | None = None
        self.mark = Mark()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(
        self,
        *options: str,
        command: list[str] | None = None,
        words: tuple[str, ...] = (),
        environ: dict[str, str] | None = None,
        foreground: bool = True,
    ) -> "Service":
        """Start heart; `words` are commands that parrot carries out before READY=1."""
        arguments = ["--data", str(self.data), *options, *(["--foreground"] * foreground)]
        self.process = subprocess.Popen(
            [*HEART, *arguments, "--", *(command or PARROT), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **self.mark.environ, **(environ or {})},
        )
        return self

    def connect(self) -> socket.socket:
        """A connection, as soon as there is a socket."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE_S)
        folder = RunFolder(str(self.data))
        try:
            wait_for(lambda: reaches(client, folder.address("osupervisor.sock")))
        finally:
            folder.close()
        return client

    def ask(self, command: str) -> Any:
        """What parrot answers; it is waited for until a supervisor answers."""
        with self.connect() as client:
            client.sendall(command.encode() + b"\n")
            with client.makefile() as file:
                line = file.readline()
        assert line, f"no answer to {command!r}"
        return json.loads(line)

    def tell(self, command: str) -> None:
        """Have parrot do something that it doesn't live to answer."""
        with self.connect() as client:
            client.sendall(command.encode() + b"\n")
            client.recv(1000)

    def who(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask("who")
        return answer

    def kill_supervisor(self) -> int:
        """SIGKILL; returns the id of the dead process."""
        pid: int = self.who()["pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def next_supervisor(self, old_pid: int) -> dict[str, Any]:
        """The one after `old_pid`, when it answers."""
        found: list[dict[str, Any]] = []

        def is_new() -> bool:
            try:
                found.append(self.who())
            except (AssertionError, ConnectionError):
                return False
            return bool(found[-1]["pid"] != old_pid)

        wait_for(is_new)
        return found[-1]

    def end(self) -> tuple[int, str]:
        """Wait for heart's own end: exit status and stderr."""
        assert self.process is not None
        _, stderr = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, stderr

    def kill_heart(self) -> None:
        """SIGKILL to the heart that the test started; its stderr may live on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=PATIENCE_S)

    def stop(self, signum: int = signal.SIGTERM) -> tuple[int, str]:
        assert self.process is not None
        self.process.send_signal(signum)
        return self.end()

    def journal(self) -> list[dict[str, str]]:
        """Heart's own lines in heart.log, as far as it is there."""
        path = self.data / "logs" / "heart.log"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def clean_up(self) -> None:
        """End what the test left, heart and all that it and its supervisors started."""
        self.mark.end()
        if self.process is not None:
            self.process.communicate(timeout=PATIENCE_S)


def wait_for(condition: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Return when the condition holds; AssertionError when it doesn't in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def reaches(client: socket.socket, address: str) -> bool:
    try:
        client.connect(address)
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def lives(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


def descriptors(pid: int) -> list[str]:
    """What each descriptor of a process is, sorted."""
    folder = Path(f"/proc/{pid}/fd")
    return sorted(os.readlink(folder / name) for name in os.listdir(folder))
