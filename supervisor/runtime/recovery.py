"""What the supervisor knows at its start: the log read, folded, and opened for writing again.

    newest control record --> fold <-- the records behind it        (at most 4 MiB, or 5 x its size)
    records above `durable` --> written again into a segment of our own, durable

Nothing is answered from recovered bytes before they are durable again: another process's fsync
proves nothing, and neither does one of ours on bytes that it wrote.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from osupervisor.config.settings import Settings
from osupervisor.supervisor.core.context import Limits
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.core.fold import Fold
from osupervisor.supervisor.runtime.head_start import HASH_SEED_FILE
from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.errors import VaultStoreError
from osupervisor.wal.record import Kind
from osupervisor.wal.recover import LogView, read_log, reopen
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.writer import Writer

HASH_SEED_MAX = 2**32 - 1


class StartRefused(Exception):
    """The service must not start: damage, a lock, a setting. Says what to do."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """Everything that a start rests on."""

    fold: Fold
    storage: DirectoryStorage
    writer: Writer
    boot_id: bytes
    view: LogView
    since_control: int
    newest: list[bytes]
    """The records that were written again."""
    checkpoint_lsn: int
    """Of the newest whole checkpoint; 0: there is none."""


def recover(data: Path, settings: Settings) -> Recovered:
    """Read the log and open it again. Durable up to `fold.lsn` when it returns.

    Raises DamageError, StartRefused, OSError.
    """
    folder = data / "wal"
    folder.mkdir(mode=0o700, exist_ok=True)
    storage = DirectoryStorage(folder)
    view = read_log(storage)
    fold = Fold(
        int(settings.idempotency.window_s * 1e6),
        settings.idempotency.keys_max,
        settings.idempotency.clients_max,
    )
    since_control, checkpoint_lsn = _fold(fold, view, data)
    boot_id = secrets.token_bytes(16)
    newest = view.raw(view.durable_lsn + 1)
    writer = reopen(
        storage,
        boot_id,
        view.durable_lsn,
        newest,
        segment_bytes_max=settings.wal.segment_bytes_max,
    )
    return Recovered(fold, storage, writer, boot_id, view, since_control, newest, checkpoint_lsn)


def new_core(settings: Settings, recovered: Recovered) -> Core:
    """The core over what was recovered."""
    limits = Limits(
        window=settings.window,
        queue_max=settings.queue_max,
        queue_bytes_max=settings.queue_bytes_max,
        op_timeout_us=int(settings.op.timeout_s * 1e6),
        wait_timeout_us=int(settings.op.wait_timeout_s * 1e6),
        strikes_max=settings.op.strikes_max,
        checkpoint_level=settings.checkpoint.level,
    )
    return Core(
        recovered.fold,
        always=settings.durability == "always",
        boot=int.from_bytes(recovered.boot_id[:8], "big"),
        seed=secrets.randbits(61),
        limits=limits,
        ring_bytes_max=settings.wal.retained_bytes_max,
        since_control=recovered.since_control,
        newest=recovered.newest,
    )


def _fold(fold: Fold, view: LogView, data: Path) -> tuple[int, int]:
    """Fold the log from its newest control record on. Returns the bytes behind that, and the LSN
    of the newest whole checkpoint, 0 without one."""
    first = 1
    control = view.control_record()
    if control is not None:
        assert control.kind is Kind.CONTROL
        try:
            fold.restore(control.request)
        except ValueError as error:
            raise StartRefused(str(error)) from error
        fold.count(control.lsn, control.t_us)
        first = control.lsn + 1
    elif view.first_lsn > 1:
        first = _from_checkpoint(fold, view, data)
    newest = _checkpoints(data).newest_whole()
    if newest is not None and newest.lsn > view.last_lsn:
        raise StartRefused(
            f"{data / 'wal'}: the log ends at record {view.last_lsn}, but a checkpoint stands at"
            f" {newest.lsn}; restore the missing segments from a backup, or move"
            f" {data / 'checkpoints'} away to go on without what they held"
        )
    size = 0
    for record in view.records(first):
        fold.apply(record)
        size += len(record.request) + len(record.commit) + len(record.key)
    return size, newest.lsn if newest is not None else 0


def _from_checkpoint(fold: Fold, view: LogView, data: Path) -> int:
    """Begin with a checkpoint's control data, where a repair left the log without a control
    record. Returns the first LSN behind it."""
    store = _checkpoints(data)
    for entry in reversed(store.ls()):
        if entry.manifest is None or not view.first_lsn - 1 <= entry.lsn <= view.last_lsn:
            continue
        try:
            fold.restore(store.read_control(entry.lsn))
        except (VaultStoreError, ValueError):
            continue
        fold.count(entry.lsn, fold.t_us)
        return entry.lsn + 1
    raise StartRefused(
        f"{data / 'wal'}: the log begins at record {view.first_lsn} and has no control record, and"
        " no checkpoint fits it; restore the missing segments from a backup"
    )


def _checkpoints(data: Path) -> CheckpointStore:
    return CheckpointStore(data / "checkpoints")


def hash_seed(data: Path) -> int:
    """One PYTHONHASHSEED per data directory, so that every brain iterates its sets alike."""
    path = data / HASH_SEED_FILE
    try:
        found = int(path.read_text().strip())
    except FileNotFoundError:
        found = secrets.randbelow(HASH_SEED_MAX) + 1
        temporary = path.with_suffix(".tmp")
        with temporary.open("w") as file:
            file.write(f"{found}\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        return found
    except ValueError as error:
        raise StartRefused(
            f"{path}: found {path.read_text()[:40]!r}, wanted a number from 1 to {HASH_SEED_MAX};"
            " restore it from a backup (checkpoints/*/manifest.json have it as hash_seed)"
        ) from error
    if not 0 <= found <= HASH_SEED_MAX:
        raise StartRefused(f"{path}: found {found}, wanted a number from 0 to {HASH_SEED_MAX}")
    return found
