"""The peer: a real Redis on a Unix socket in a folder of its own, with its append-only file.

    with RedisServer("everysec") as server, server.client() as client:
        client.set("a", "b")

Leaving the block ends it by pid and removes the folder. Needs Debian's `redis-server` and the
package `redis` of the group `bench`; `missing()` says what isn't there.
"""

import contextlib
import importlib.util
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

from service import end_with_parent

Fsync = Literal["everysec", "always"]
START_S: Final = 120.0
LOOK_S: Final = 0.001


def missing() -> str:
    """What to install before Redis can be measured beside us. Empty: nothing."""
    if shutil.which("redis-server") is None:
        return "redis-server is missing: apt-get install redis-server"
    if importlib.util.find_spec("redis") is None:
        return "the package redis is missing: pip install --group bench"
    return ""


class RedisServer:
    """One server; stopped, killed and started again on the same folder, as one likes."""

    def __init__(self, fsync: Fsync, *, started: bool = True) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="osupervisor-bench-redis-"))
        self.socket = self.folder / "redis.sock"
        self._fsync = fsync
        self._started = started
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RedisServer":
        if self._started:
            self.start()
            self.wait("nothing", None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> float:
        """Begin to start it; returns at once, the perf_counter of that moment."""
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket)]
        command += ["--dir", str(self.folder), "--save", "", "--daemonize", "no"]
        command += ["--appendonly", "yes", "--appendfsync", self._fsync]
        with (self.folder / "output").open("ab") as output:
            began = time.perf_counter()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=end_with_parent,
            )
        return began

    def wait(self, key: str, expected: str | None) -> float:
        """Ask until it answers rightly; the perf_counter of that answer."""
        from redis.exceptions import RedisError

        limit = time.monotonic() + START_S
        with self.client() as client:
            while time.monotonic() < limit:
                with contextlib.suppress(RedisError):
                    found = client.get(key)
                    assert found == expected, f"{key}: found {found!r:.50}"
                    return time.perf_counter()
                time.sleep(LOOK_S)
        raise TimeoutError(f"redis-server does not answer: {self.output()}")

    def stop(self) -> None:
        """Politely: its file is complete and synced."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
            self._process = None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:
        import redis

        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def async_client(self) -> Any:
        import redis.asyncio

        return redis.asyncio.Redis(unix_socket_path=str(self.socket), decode_responses=True)

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def output(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / "output").read_text(errors="replace")[-2000:]
        return "it printed nothing"
