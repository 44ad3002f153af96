"""The vault's patience: with a writer that hangs, and with a disk that is slow."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from osupervisor.bridge import packing
from osupervisor.config.settings import Checkpoint
from osupervisor.supervisor.core.outbox import BeginCheckpoint
from osupervisor.supervisor.runtime.vault import CheckpointFailed, Vault

LSN = 5
RESULT = packing.pack({"lsn": LSN, "bytes": 1, "raw_bytes": 1, "sha256": "0" * 64, "keys": 0})


class SlowLog:
    """A log that is not durable before it is told so."""

    def __init__(self) -> None:
        self.durable = 0

    def durable_lsn(self) -> int:
        return self.durable

    def sync_soon(self) -> None: ...


def nothing() -> None:
    """Nobody is asked."""


def vault(
    folder: Path,
    log: SlowLog,
    failed: Callable[[str], None],
    request: Callable[[], None] = nothing,
) -> Vault:
    """One that waits for no time at all for a writer."""
    made = Vault(
        folder,
        Checkpoint(timeout_s=0.0),
        asyncio.get_running_loop(),
        log,
        hash_seed=1,
        request=request,
        pruned=lambda _oldest, _newest: None,
        failed=failed,
    )
    made.store.prepare()
    return made


def begin(made: Vault) -> int:
    """The writer's end of the pipe for the result."""
    descriptors = made.begin(BeginCheckpoint(1, LSN, 1, b"control"))
    assert descriptors is not None
    os.close(descriptors[0])
    return descriptors[1]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_writer_that_hangs_is_given_up_and_said(tmp_path: Path) -> None:
    async def run() -> None:
        said: list[str] = []
        made = vault(tmp_path, SlowLog(), said.append)
        asked = made.ask()
        writer = begin(made)
        made.tick(0, LSN)
        with pytest.raises(CheckpointFailed):
            await asked
        assert len(said) == 1 and "timed out" in said[0]
        os.close(writer)
        made.close()

    asyncio.run(run())


def test_a_disk_that_is_slow_after_the_writer_is_waited_for(tmp_path: Path) -> None:
    """What has the number of the pipe's descriptor by then is none of the vault's business."""

    async def run() -> None:
        said: list[str] = []
        log = SlowLog()
        made = vault(tmp_path, log, said.append)
        asked = made.ask()
        writer = begin(made)
        os.write(writer, RESULT)
        os.close(writer)
        before = open_files()
        while open_files() == before:
            await asyncio.sleep(0)
        others = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
        made.tick(0, LSN)
        assert not said
        for descriptor in others:
            os.close(descriptor)
        log.durable = LSN
        with contextlib.suppress(CheckpointFailed):
            await asked
        made.close()

    asyncio.run(run())


def test_log_that_an_earlier_supervisor_wrote_counts(tmp_path: Path) -> None:
    """Else supervisors that die one after another would let it grow without any bound."""

    async def run() -> None:
        asked: list[None] = []
        made = vault(tmp_path, SlowLog(), lambda _why: None, lambda: asked.append(None))
        limit = Checkpoint().wal_bytes
        made.resume(LSN, limit - 100)
        assert made.state.last_lsn == LSN
        made.tick(99, LSN + 9)
        assert not asked
        made.tick(100, LSN + 9)
        assert len(asked) == 1
        made.close()

    asyncio.run(run())


def test_a_begin_without_descriptors_leaves_none_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, "Too many open files")

    async def run() -> None:
        said: list[str] = []
        made = vault(tmp_path, SlowLog(), said.append)
        before = open_files()
        with monkeypatch.context() as patched:
            patched.setattr(os, "pipe2", fail)
            assert made.begin(BeginCheckpoint(1, LSN, 1, b"control")) is None
        assert said and open_files() == before
        os.close(begin(made))
        made.close()

    asyncio.run(run())
