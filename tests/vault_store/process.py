"""A real process with a hot segment, driven by the tests."""

import contextlib
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import IO

from osupervisor.vault_store import hot

PROGRAM = Path(__file__).with_name("brain_process.py")


class BrainProcess:
    """A real process that holds the mutex of a hot segment; see brain_process.py."""

    def __init__(self, megabytes: int = 0) -> None:
        self.segment = hot.create()
        self.own_segment = hot.create("osupervisor-second")
        self.reader = hot.HotReader(self.segment)
        self._process = subprocess.Popen(
            [sys.executable, str(PROGRAM), str(self.segment), str(megabytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.segment, self.own_segment),
            text=True,
            bufsize=1,
        )
        self.pid = self._process.pid
        self.pidfd = os.pidfd_open(self.pid)
        assert self.answer() == ["ready"]

    def tell(self, *words: object) -> None:
        """Send a command."""
        self._pipe(self._process.stdin).write(" ".join(map(str, words)) + "\n")

    def answer(self) -> list[str]:
        """The next line of answer."""
        return self._pipe(self._process.stdout).readline().split()

    def ask(self, *words: object) -> list[str]:
        """Send a command and wait for its answer."""
        self.tell(*words)
        return self.answer()

    def answered(self) -> bool:
        """Whether an answer is there to be read."""
        return bool(select.select([self._pipe(self._process.stdout)], [], [], 0)[0])

    def kill(self) -> None:
        """SIGKILL; returns at once."""
        os.kill(self.pid, 9)

    def ended(self, timeout_s: float = 0.0) -> bool:
        """Whether the pidfd reports the end, after waiting for it."""
        return bool(select.select([self.pidfd], [], [], timeout_s)[0])

    def close(self) -> None:
        """Kill, reap and close everything; once is enough."""
        if self._process.returncode is not None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(BrokenPipeError):
                self._pipe(pipe).close()
        self.reader.close()
        for fd in (self.segment, self.own_segment, self.pidfd):
            os.close(fd)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe
