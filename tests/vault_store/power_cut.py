"""A disk that forgets: what the store did to it, and what a power cut may leave of that.

`RecordedDisk` does everything for real, keeps a model beside it of what is durable and what is
not, and after each step notes the model. From a noted model `after_power_cut` makes one of the
states that the disk may be in then: of a folder's changes since its last sync any subset has
reached the platter, of a file's unsynced content nothing, a part, zeros, or all.
"""

import copy
import random
from dataclasses import dataclass, field
from pathlib import Path

from osupervisor.vault_store.disk import RealDisk


@dataclass
class File:
    """`durable` is the content as of the last fsync, None before the first."""

    content: bytes = b""
    durable: bytes | None = None


@dataclass
class Change:
    """A change of a folder's names: `inode` is added under `new`, removed from `old`, or both."""

    old: str | None
    new: str | None
    inode: "File | Folder"

    def apply(self, entries: dict[str, "File | Folder"]) -> None:
        """Make it; a name that is another file's by now stays that file's."""
        if self.old is not None and entries.get(self.old) is self.inode:
            del entries[self.old]
        if self.new is not None:
            entries[self.new] = self.inode


@dataclass
class Folder:
    """`entries` as everybody sees them; `durable` and, behind it, what is not durable yet."""

    entries: dict[str, "File | Folder"] = field(default_factory=dict[str, "File | Folder"])
    durable: dict[str, "File | Folder"] = field(default_factory=dict[str, "File | Folder"])
    changes: list[Change] = field(default_factory=list[Change])

    def add(self, name: str, inode: "File | Folder") -> None:
        """A new entry; not durable."""
        self._change(Change(None, name, inode))

    def move(self, old: str, new: str | None) -> None:
        """Rename an entry, or remove it; not durable."""
        self._change(Change(old, new, self.entries[old]))

    def _change(self, change: Change) -> None:
        change.apply(self.entries)
        self.changes.append(change)

    def sync(self) -> None:
        """All names are durable now."""
        self.durable = dict(self.entries)
        self.changes.clear()


class RecordedDisk(RealDisk):
    """A Disk below `root`. `planted` names a step that is left out; see test_power_cut.py."""

    def __init__(self, root: Path, planted: str = "") -> None:
        self._root = root
        self._planted = planted
        self._model = Folder()
        self.steps: list[Folder] = []

    def make_folder(self, path: Path) -> None:
        if not path.exists():
            self._parent(path).add(path.name, Folder())
        super().make_folder(path)
        self._note()

    def open_new(self, path: Path) -> int:
        self._parent(path).add(path.name, File())
        self._note()
        return super().open_new(path)

    def state_written(self, path: Path) -> None:
        """`write_state` has written and synced the file."""
        file = self._find(path)
        assert isinstance(file, File)
        file.content = path.read_bytes()
        self._note()
        if self._planted != "state not synced":
            file.durable = file.content
        self._note()

    def write_synced(self, path: Path, content: bytes) -> None:
        super().write_synced(path, content)
        file = File(content)
        self._parent(path).add(path.name, file)
        self._note()
        if self._planted != f"{path.name} not synced":
            file.durable = content
        self._note()

    def sync_folder(self, path: Path) -> None:
        super().sync_folder(path)
        folder = self._find(path)
        assert isinstance(folder, Folder)
        inner = path.name.endswith(".tmp")
        if self._planted != ("folder not synced" if inner else "folder above not synced"):
            folder.sync()
        self._note()

    def rename(self, old: Path, new: Path) -> None:
        if self._planted == "removed in place" and new.name.endswith(".tmp"):
            self.remove(old)
            return
        super().rename(old, new)
        self._parent(old).move(old.name, new.name)
        self._note()

    def remove(self, path: Path) -> None:
        if not path.exists():
            return
        folder = self._find(path)
        assert isinstance(folder, Folder)
        for name in list(folder.entries):
            folder.move(name, None)
            self._note()
        self._parent(path).move(path.name, None)
        self._note()
        super().remove(path)

    def _find(self, path: Path) -> File | Folder:
        found: File | Folder = self._model
        for name in path.relative_to(self._root).parts:
            assert isinstance(found, Folder)
            found = found.entries[name]
        return found

    def _parent(self, path: Path) -> Folder:
        parent = self._find(path.parent)
        assert isinstance(parent, Folder)
        return parent

    def _note(self) -> None:
        self.steps.append(copy.deepcopy(self._model))


def after_process_death(model: Folder, into: Path) -> None:
    """What a killed process leaves: everything that it had done, durable or not."""
    into.mkdir()
    for name, inode in model.entries.items():
        if isinstance(inode, Folder):
            after_process_death(inode, into / name)
        else:
            (into / name).write_bytes(inode.content)


def after_power_cut(model: Folder, into: Path, source: random.Random) -> None:
    """Make one of the states that a power cut can leave, in the new folder `into`."""
    into.mkdir()
    entries = dict(model.durable)
    share = source.choice((0.0, 0.5, 1.0))
    for change in model.changes:
        if source.random() < share:
            change.apply(entries)
    for name, inode in entries.items():
        if isinstance(inode, Folder):
            after_power_cut(inode, into / name, source)
        else:
            (into / name).write_bytes(_left_of(inode, source))


def _left_of(file: File, source: random.Random) -> bytes:
    if file.content == file.durable:
        return file.content
    part = file.content[: source.randrange(len(file.content) + 1)]
    return source.choice((b"", part, bytes(len(file.content)), file.content))
