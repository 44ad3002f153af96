"""A real service for a test: heart, supervisor, brains, in a folder of its own; ended however the
test ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from osupervisor.bridge.client import Client
from tests.mark import Mark

SCRIPT = str(Path(sys.executable).with_name("osupervisor"))
PATIENCE_S = 60.0

BRAIN = '''
import ctypes, mmap, os, signal, socket, sys, time
from osupervisor.brain import Brain, op, query

ballast = []

class Ledger(Brain):
    """Remembers what it was told; some ops do what no op should."""

    @op
    def add(self, name: str, n: int = 1) -> int:
        self.state[name] = self.state.get(name, 0) + n
        self.hot["adds"] += 1
        return self.state[name]

    @op
    def count(self, name: str, n: int) -> None:
        """Sets a counter; 0 takes it out."""
        self.hot[name] = n
        if not n:
            del self.hot[name]

    @op
    def put(self, token: str) -> int:
        """Appends a token, which nobody sends twice."""
        tokens = self.state.setdefault("tokens", [])
        tokens.append(token)
        return len(tokens)

    @op
    def store(self, key: str, value: str) -> None:
        self.state.setdefault("store", {})[key] = value

    @op
    def fill(self, keys: int) -> None:
        """Many operations in one commit."""
        self.state["fill"] = {}
        for number in range(keys):
            self.state["fill"][str(number)] = number

    @op
    def receipt(self, token: str, size: int = 1000) -> str:
        """A long answer, of a state that moves on."""
        self.state["receipts"] = self.state.get("receipts", 0) + 1
        return f"{token} {self.state['receipts']} " + "x" * size

    @op
    def later(self, seconds: float, token: str) -> None:
        self.after(seconds, "put", token)

    @op
    def cast_put(self, token: str) -> None:
        self.cast("put", token)

    @op
    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @op
    def stop(self) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    @op
    def spin(self) -> None:
        while True:
            pass

    @op
    def nap(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    @op
    def huge(self, size: int) -> None:
        self.state["huge"] = "x" * size

    @op
    def swell(self, size: int) -> None:
        """Takes memory that is no state."""
        ballast.append(b"x" * size)

    @op
    def gorge(self, size: int) -> None:
        """The same, and does not come to an end."""
        ballast.append(b"x" * size)
        while True:
            time.sleep(1)

    @op
    def flood(self, size: int) -> int:
        for _ in range(size // 100):
            print("x" * 99)
        return size

    @op
    def scribble(self) -> int:
        """Writes over all the shared memory that this process can reach, and shrinks it."""
        found = 0
        for row in open("/proc/self/maps"):
            fields = row.split()
            if "rw-s" in fields[1] and "memfd" in row:
                low, high = (int(part, 16) for part in fields[0].split("-"))
                ctypes.memset(low, 0xA5, high - low)
                found += 1
        for name in os.listdir("/proc/self/fd"):
            try:
                if "memfd" in os.readlink(f"/proc/self/fd/{name}"):
                    os.ftruncate(int(name), 0)
            except OSError:
                pass
        return found

    @op
    def scribble_and_spin(self) -> None:
        """And nothing tells any more what it does."""
        self.scribble()
        self.spin()

    @op
    def close_everything(self) -> None:
        """Its own end it can execute to; its brain can say nothing more."""
        os.closerange(3, 256)

    @op
    def garble(self, mark: str, data: bytes) -> None:
        """Sends these bytes over its port, between two messages; only the first time."""
        if os.path.exists(mark):
            return
        open(mark, "w").close()
        for name in os.listdir("/proc/self/fd"):
            try:
                with socket.socket(fileno=os.dup(int(name))) as found:
                    if found.type == socket.SOCK_STREAM:
                        found.sendall(data)
            except OSError:
                pass

    @query
    def tokens(self) -> list[str]:
        return list(self.state.get("tokens", []))

    @query
    def get(self, name: str) -> int:
        return self.state.get(name, 0)
'''


class Running:
    """One service. `client` is the library's, connected to it. Its processes have a mark of its
    own, so that it can be killed alone."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self._mark = Mark()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "brain.py").write_text(BRAIN)
        text = f'target = "brain.py:Ledger"\nprofile = "test"\n{settings}'
        (folder / "osupervisor.toml").write_text(text)
        self.start()
        self.client = Client(self.data, timeout_s=PATIENCE_S)

    def start(self) -> None:
        ran = self.run("start", "--daemon")
        assert ran.returncode == 0, ran.stderr + self.log_tail()

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [SCRIPT, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            env={**os.environ, **self._mark.environ},
        )

    def close(self) -> None:
        self.client.close()
        self._mark.end()

    def status(self) -> dict[str, Any]:
        return self.client.status()

    def pid(self, role: str) -> int:
        """The process in this role; waits until there is one."""
        found: list[int] = []

        def there() -> bool:
            process = self.status()[role]
            if process is not None and process["pid"]:
                found.append(process["pid"])
            return bool(found)

        wait_for(there, f"a {role}")
        return found[0]

    def kill(self, role: str) -> int:
        """SIGKILL, from outside; the pid that was."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def kill_everything(self) -> None:
        """Heart, supervisor and brains at once."""
        self._mark.end()

    def tokens(self) -> list[str]:
        return list(self.client.call("tokens"))

    def log_tail(self) -> str:
        path = self.data / "logs" / "supervisor.log"
        return path.read_text()[-4000:] if path.exists() else ""

    def log(self) -> list[dict[str, Any]]:
        path = self.data / "logs" / "supervisor.log"
        return [json.loads(row) for row in path.read_text().splitlines()]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.005)


def is_gone(pid: int) -> bool:
    """Whether the process has ended, or is only a zombie that somebody still has to reap."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat[stat.rindex(")") + 2] in "ZX"


def tree(service: Running) -> list[dict[str, Any]]:
    """Its supervision tree, a row for each part."""
    rows: list[dict[str, Any]] = [service.client.request("system.tree")]
    for row in rows:
        rows += row["children"]
    return rows


def nursery(service: Running) -> int:
    """Its process; 0 while there is none."""
    return next(int(row["pid"] or 0) for row in tree(service) if row["id"] == "nursery")
