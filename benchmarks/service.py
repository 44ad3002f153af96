"""A real service on a data directory of its own, for one benchmark.

    with Service({"durability": "always"}) as service, service.client() as client:
        client.set("a", "b")

Leaving the block ends every process that it started, however the block is left, and removes the
directory. Processes are known by a variable in their environment that nobody else has, and are
killed by pid. If the benchmark itself is killed, the kernel tells heart, which stops the rest.
"""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from osupervisor.bridge.address import SOCKET, connect, parse_address
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError

TARGET: Final = f"{Path(__file__).with_name('store.py')}:Store"
COMMAND: Final = str(Path(sys.executable).with_name("osupervisor"))
MARK: Final = "BENCHMARK_SERVICE"
START_S: Final = 120.0
END_S: Final = 60.0
LOOK_S: Final = 0.005

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_libc: Final = ctypes.CDLL(None)

Status = dict[str, Any]


class ServiceFailed(Exception):
    """It did not start, did not get where it should, or did not end. Says what it printed last."""


class Service:
    """One service. Started, stopped, killed and started again on the same data, as one likes."""

    def __init__(
        self,
        settings: Mapping[str, object] | None = None,
        *,
        started: bool = True,
        target: str = TARGET,
        data: Path | None = None,
    ) -> None:
        """`settings` as on the command line; `started`: whether entering the block starts it.
        `data`: a directory that is there already, and stays."""
        self.folder = Path(tempfile.mkdtemp(prefix="osupervisor-bench-"))
        self.data = self.folder / "data" if data is None else data
        self._target = target
        self._started = started
        self._mark = secrets.token_hex(8)
        self._changes = [f"--set={name}={held}" for name, held in (settings or {}).items()]
        self._heart: subprocess.Popen[bytes] | None = None
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def __enter__(self) -> "Service":
        try:
            if self._started:
                self.start()
                self.wait_whole()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        try:
            self.kill_all()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- starting and ending

    def start(self) -> float:
        """Begin to start it; returns at once, the perf_counter of that moment."""
        command = [COMMAND, "start", self._target, f"--data={self.data}", *self._changes]
        environment = {**os.environ, MARK: self._mark}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installation has compiled modules
        with (self.folder / "output").open("ab") as output:
            began = time.perf_counter()
            self._heart = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.folder,
                preexec_fn=end_with_parent,
            )
        return began

    def stop(self) -> None:
        """Politely, as `osupervisor stop`: with a last checkpoint."""
        assert self._heart is not None
        self._heart.terminate()
        try:
            self._heart.wait(END_S)
        except subprocess.TimeoutExpired as error:
            raise ServiceFailed(f"it did not stop; {self.output()}") from error
        self.kill_all()

    def kill_all(self) -> None:
        """Every process at once; none is left when this returns.

        Two looks must find none: one that is just being executed shows no mark for a moment.
        """
        limit = time.monotonic() + END_S
        killed: set[int] = set()
        looks_in_vain = 0
        while looks_in_vain < 2:
            pids = self.pids()
            looks_in_vain = 0 if pids else looks_in_vain + 1
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            killed.update(pids)
            if time.monotonic() > limit:
                raise ServiceFailed(f"processes {pids} don't end")
            time.sleep(LOOK_S)
        if self._heart is not None:
            killed.discard(self._heart.pid)
            self._heart.wait()
            self._heart = None
        for pid in sorted(killed):  # those that lost their parent became our children
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def pids(self) -> list[int]:
        """All living processes of this service, heart first."""
        mark = f"{MARK}={self._mark}".encode()
        found: list[int] = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if mark in Path("/proc", entry, "environ").read_bytes().split(b"\0"):
                    found.append(int(entry))
        return sorted(found)

    # --- asking

    def client(self) -> Client:
        """To be closed by whoever asked."""
        return Client(self.data / SOCKET, connect_timeout_s=START_S)

    def _hasty_client(self) -> Client:
        """One that soon gives up, so that a start that failed is seen."""
        return Client(self.data / SOCKET, connect_timeout_s=LOOK_S)

    def status(self) -> Status:
        with self.client() as client:
            return client.status()

    def wait(self, wanted: Callable[[Status], bool], timeout_s: float = START_S) -> Status:
        """The first status that is as wanted."""
        limit = time.monotonic() + timeout_s
        status: Status = {}
        while time.monotonic() < limit:
            if self._heart is not None and self._heart.poll() is not None:
                break
            with contextlib.suppress(BridgeError), self._hasty_client() as client:
                status = client.with_options(timeout_s=5).status()
                if wanted(status):
                    return status
            time.sleep(LOOK_S)
        raise ServiceFailed(f"it did not get there: {status}; {self.output()}")

    def wait_whole(self) -> Status:
        """Until there are a primary and a standby that has caught up."""
        return self.wait(whole)

    def connected(self) -> socket.socket:
        """A connection, tried each millisecond: to find out when the service can be reached."""
        address = parse_address(self.data / SOCKET)
        limit = time.monotonic() + START_S
        while time.monotonic() < limit:
            try:
                return connect(address, START_S)
            except OSError:
                time.sleep(0.001)
        raise ServiceFailed(f"nobody listens; {self.output()}")

    def output(self) -> str:
        """The end of what it printed."""
        with contextlib.suppress(OSError):
            return (self.folder / "output").read_text(errors="replace")[-2000:]
        return "it printed nothing"


def whole(status: Status) -> bool:
    """Whether a status shows a primary and a standby, which appears when it has caught up."""
    return status["primary"] is not None and status["standby"] is not None


def end_with_parent() -> None:
    """In the child, before exec: SIGTERM when the benchmark dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def cpu_s(pid: int) -> float:
    """Seconds that a process was on a CPU so far, by the scheduler's count. 0: it is gone."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


def memory_kib(pid: int) -> dict[str, int]:
    """Rss, Pss and Private_Dirty of a process, in KiB."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    values = {row.partition(":")[0]: int(row.split()[1]) for row in rows}
    return {name: values[name] for name in ("Rss", "Pss", "Private_Dirty")}
