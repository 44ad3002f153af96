"""The store of checkpoints: one folder each, whole or not there.

    checkpoints/00000000000000004711/       state.zst  control.msgpack  manifest.json
    checkpoints/00000000000000004711.tmp/   being written or removed; swept at the next start
    checkpoints/00000000000000004711.damaged/   set aside, for whoever wants to look

The order in which one is written: the state file, its fsync (`write_state`, in the brain's child);
control.msgpack, its fsync; manifest.json, its fsync; fsync of the folder; rename; fsync of the
folder above. Before the rename there is no checkpoint, after it nothing in it changes. It is
removed the other way round: renamed away first. So a crash at any point leaves it whole or not
there, and a power cut before the last fsync leaves either.

Rules: the caller renames a checkpoint in (`finish`) only when the log is durable up to its LSN.
`finish`, `prune` and `verify` wait for the disk: not for a running event loop.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from osupervisor.vault_store.disk import Disk, RealDisk
from osupervisor.vault_store.errors import (
    CheckpointExistsError,
    CorruptCheckpointError,
    NoCheckpointError,
)
from osupervisor.vault_store.manifest import (
    MANIFEST_BYTES_MAX,
    Manifest,
    ManifestError,
    decode,
    encode,
    summarize,
)
from osupervisor.vault_store.state_reader import STATE_FILE, check_state

CONTROL_FILE: Final = "control.msgpack"
MANIFEST_FILE: Final = "manifest.json"
_LSN_DIGITS = 20
_UNFINISHED = ".tmp"
_DAMAGED = ".damaged"


@dataclass(frozen=True, slots=True)
class Entry:
    """A checkpoint in the store. `damage` is None when its manifest and sizes are right."""

    lsn: int
    manifest: Manifest | None
    damage: CorruptCheckpointError | None


class CheckpointStore:
    """The folder `checkpoints/` of a data directory. Used by one process at a time."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self._path = path
        self._disk: Disk = RealDisk() if disk is None else disk

    def prepare(self) -> list[str]:
        """Make the folder, remove what a crash left unfinished; the names removed."""
        self._disk.make_folder(self._path)
        self._disk.sync_folder(self._path.parent)
        left = [name for name in self._disk.names(self._path) if name.endswith(_UNFINISHED)]
        for name in left:
            self._disk.remove(self._path / name)
        return left

    def begin(self, lsn: int) -> int:
        """A descriptor on the new, empty state file of a checkpoint of `lsn`. The caller closes it.

        An unfinished one of the same LSN is removed. Raises CheckpointExistsError.
        """
        if self._folder(lsn).exists():
            raise CheckpointExistsError(str(self._folder(lsn)), lsn)
        self.discard(lsn)
        self._disk.make_folder(self._unfinished(lsn))
        return self._disk.open_new(self._unfinished(lsn) / STATE_FILE)

    def finish(self, manifest: Manifest, control: bytes) -> None:
        """Complete the checkpoint that `begin` began: durable when it returns.

        The state file has been written and synced; `manifest` tells of it and of `control`.
        Raises CorruptCheckpointError when the state file is of another size; OSError: then it isn't
        known whether the checkpoint is durable; what was there before is untouched.
        """
        assert summarize(control) == manifest.control, "a manifest of other control data"
        folder = self._unfinished(manifest.lsn)
        damage = _wrong_size(folder / STATE_FILE, manifest.state.bytes)
        if damage is not None:
            raise damage
        self._disk.write_synced(folder / CONTROL_FILE, control)
        self._disk.write_synced(folder / MANIFEST_FILE, encode(manifest))
        self._disk.sync_folder(folder)
        self._disk.rename(folder, self._folder(manifest.lsn))
        self._disk.sync_folder(self._path)

    def discard(self, lsn: int) -> None:
        """Remove the unfinished checkpoint of `lsn`, if there is one."""
        folder = self._unfinished(lsn)
        if folder.exists():
            self._disk.remove(folder)

    def ls(self) -> list[Entry]:
        """Every finished checkpoint, oldest first, with its manifest or what is wrong with it.

        One that another thread or process removes meanwhile may be missing.
        """
        names = self._disk.names(self._path) if self._path.exists() else []
        found: list[Entry] = []
        for lsn in sorted(int(name) for name in names if _is_lsn(name)):
            with contextlib.suppress(NoCheckpointError):
                found.append(self._entry(lsn))
        return found

    def newest_whole(self, below: int | None = None) -> Manifest | None:
        """The newest checkpoint (of an LSN < `below`) whose manifest and sizes are right.

        Its bytes are checked when they are read. None: there is none, the log starts it all.
        """
        whole = [entry.manifest for entry in self.ls() if entry.manifest is not None]
        fitting = [manifest for manifest in whole if below is None or manifest.lsn < below]
        return fitting[-1] if fitting else None

    def open_state(self, lsn: int) -> int:
        """A read-only descriptor on the state file, for a brain. Raises NoCheckpointError."""
        try:
            return os.open(self._folder(lsn) / STATE_FILE, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise NoCheckpointError(str(self._path), lsn) from error

    def read_control(self, lsn: int) -> bytes:
        """The control data, checked. Raises NoCheckpointError, CorruptCheckpointError."""
        wanted = self._manifest(lsn).control
        path = self._folder(lsn) / CONTROL_FILE
        damage = _wrong_size(path, wanted.bytes)
        if damage is not None:
            raise damage
        content = path.read_bytes()
        if summarize(content) != wanted:
            raise CorruptCheckpointError(str(path), 0, "its sha256 is not the manifest's")
        return content

    def verify(self, lsn: int) -> Manifest:
        """Check every byte. Raises NoCheckpointError, CorruptCheckpointError."""
        manifest = self._manifest(lsn)
        self.read_control(lsn)
        path = self._folder(lsn) / STATE_FILE
        fd = self.open_state(lsn)
        try:
            check_state(fd, manifest.state, str(path))
        finally:
            os.close(fd)
        return manifest

    def set_aside(self, lsn: int) -> Path:
        """Rename a damaged checkpoint so that it is no longer one; an earlier such one goes.

        Returns its new folder. Durable when it returns.
        """
        aside = self._path / f"{_name(lsn)}{_DAMAGED}"
        if aside.exists():
            self._disk.remove(aside)
        self._disk.rename(self._folder(lsn), aside)
        self._disk.sync_folder(self._path)
        return aside

    def prune(self, kept: int) -> list[int]:
        """Remove all but the newest `kept` (>= 1) whole checkpoints; the LSNs removed.

        Damaged ones count for nothing, and go when they are older than the oldest kept.
        """
        assert kept >= 1
        entries = self.ls()
        whole = [entry.lsn for entry in entries if entry.damage is None]
        if len(whole) < kept:
            return []
        oldest = whole[-kept]
        gone = [entry.lsn for entry in entries if entry.lsn < oldest]
        for lsn in gone:
            self.discard(lsn)
            self._disk.rename(self._folder(lsn), self._unfinished(lsn))
            self._disk.sync_folder(self._path)
            self.discard(lsn)
        return gone

    def _entry(self, lsn: int) -> Entry:
        folder = self._folder(lsn)
        try:
            manifest = self._manifest(lsn)
        except CorruptCheckpointError as error:
            return Entry(lsn, None, error)
        damage = _wrong_size(folder / STATE_FILE, manifest.state.bytes) or _wrong_size(
            folder / CONTROL_FILE, manifest.control.bytes
        )
        return Entry(lsn, None if damage else manifest, damage)

    def _manifest(self, lsn: int) -> Manifest:
        path = self._folder(lsn) / MANIFEST_FILE
        if not path.parent.exists():
            raise NoCheckpointError(str(self._path), lsn)
        try:
            with path.open("rb") as file:
                manifest = decode(file.read(MANIFEST_BYTES_MAX))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise CorruptCheckpointError(str(path), 0, "the file is missing") from error
        except ManifestError as error:
            raise CorruptCheckpointError(str(path), 0, str(error)) from error
        if manifest.lsn != lsn:
            reason = f"it is the manifest of LSN {manifest.lsn}"
            raise CorruptCheckpointError(str(path), 0, reason)
        return manifest

    def _folder(self, lsn: int) -> Path:
        return self._path / _name(lsn)

    def _unfinished(self, lsn: int) -> Path:
        return self._path / f"{_name(lsn)}{_UNFINISHED}"


def _wrong_size(path: Path, wanted: int) -> CorruptCheckpointError | None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        return CorruptCheckpointError(str(path), 0, "the file is missing")
    if found == wanted:
        return None
    reason = f"it has {found} bytes, the manifest says {wanted}"
    return CorruptCheckpointError(str(path), min(found, wanted), reason)


def _name(lsn: int) -> str:
    return f"{lsn:0{_LSN_DIGITS}d}"


def _is_lsn(name: str) -> bool:
    return len(name) == _LSN_DIGITS and name.isascii() and name.isdigit()
