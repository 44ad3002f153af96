"""Which files a brain loads: the newest checkpoint that is whole, and the segments behind it.

The supervisor opens them and hands over descriptors; it reads none of it. A checkpoint that a
brain finds damaged is set aside, and the one before it is used; damage to the log has no way round.
"""

import contextlib
import os
from dataclasses import dataclass

from osupervisor.bridge import line, port_messages
from osupervisor.bridge.errors import shown
from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.runtime.brain_process import BrainProcess
from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.errors import VaultStoreError
from osupervisor.vault_store.state_reader import STATE_FILE
from osupervisor.wal.placement import segment_lsns
from osupervisor.wal.segment import segment_name
from osupervisor.wal.storage import DirectoryStorage


class UnknownDamage(Exception):
    """A report of damage that makes no sense: a fault of the brain's, or of ours."""


class NothingToLoad(Exception):
    """The log does not reach back far enough, and no checkpoint fills the gap."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was handed to a brain, so that damage it reports can be named."""

    checkpoint: int | None
    segments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that a brain could not load. `path` is where the file is now; 0 for what is not known.

    `is_fatal`: it is of the log, and there is no way round it.
    """

    path: str
    offset: int
    lsn: int
    reason: str
    is_fatal: bool

    def __str__(self) -> str:
        return f"{self.path} is damaged at offset {self.offset} (record {self.lsn}): {self.reason}"


class Loading:
    """Hands brains what they start from."""

    def __init__(self, storage: DirectoryStorage, checkpoints: CheckpointStore, core: Core) -> None:
        self._storage = storage
        self._checkpoints = checkpoints
        self._core = core
        self._plans: dict[int, Plan] = {}
        self.skip_newest = 0
        """So many of the newest checkpoints are passed over: a lower rung of the ladder."""

    def load(self, process: BrainProcess, after: int) -> None:
        """Hand over what lies behind `after`. Raises NothingToLoad, OSError, BridgeError."""
        upto = self._core.context.log.last
        with contextlib.ExitStack() as opened:
            descriptors: list[int] = []
            checkpoint = self._open_checkpoint(after, opened, descriptors)
            start = after if checkpoint is None else checkpoint
            ranges = self._ranges(start, upto)
            for first, _ in ranges:
                descriptor = self._storage.open_fd(segment_name(first))
                opened.callback(os.close, descriptor)
                descriptors.append(descriptor)
            plan = Plan(checkpoint, tuple(segment_name(first) for first, _ in ranges))
            self._plans[process.id] = plan
            epoch = self._core.context.fold.epoch_at(upto) or 0
            for at in range(0, max(1, len(descriptors)), line.DESCRIPTORS_MAX):
                line.send(process.line, ["load"], descriptors[at : at + line.DESCRIPTORS_MAX])
        order = {
            "checkpoint": checkpoint,
            "segments": [list(each) for each in ranges],
            "upto": upto,
            "epoch": epoch,
        }
        process.port.send([port_messages.notify_frame("load", order)])

    def _open_checkpoint(
        self, after: int, opened: contextlib.ExitStack, descriptors: list[int]
    ) -> int | None:
        if after:
            return None
        whole = [entry.manifest for entry in self._checkpoints.ls() if entry.manifest]
        if not whole:
            return None
        manifest = whole[max(0, len(whole) - 1 - self.skip_newest)]
        try:
            descriptor = self._checkpoints.open_state(manifest.lsn)
        except VaultStoreError as error:
            raise NothingToLoad(str(error)) from error
        opened.callback(os.close, descriptor)
        descriptors.append(descriptor)
        return manifest.lsn

    def _ranges(self, after: int, upto: int) -> list[tuple[int, int]]:
        """First and last LSN of each segment that holds something behind `after`."""
        firsts = segment_lsns(self._storage)
        lasts = [first - 1 for first in firsts[1:]] + [upto]
        ranges = [
            (first, last)
            for first, last in zip(firsts, lasts, strict=True)
            if last > after and first <= upto
        ]
        if upto > after and (not ranges or ranges[0][0] > after + 1):
            reached = ranges[0][0] if ranges else upto + 1
            raise NothingToLoad(
                f"the log begins at record {reached}; records {after + 1} to {reached - 1} are in"
                " no segment and in no checkpoint; restore them from a backup"
            )
        return ranges

    def damaged(self, process: BrainProcess, report: dict[str, object]) -> Damage:
        """What a brain found damaged. A checkpoint is set aside: what starts next uses another.

        Raises UnknownDamage for a report that names no file, OSError.
        """
        plan = self._plans.pop(process.id, None)
        index, offset, lsn = report.get("file"), report.get("offset"), report.get("lsn")
        if plan is None or not isinstance(index, int) or index < 0:
            raise UnknownDamage(f"a brain reported damage that names no file: {shown(report, 200)}")
        reason = report.get("reason")
        at = (
            _number(offset),
            _number(lsn),
            reason if isinstance(reason, str) else shown(reason, 200),
        )
        if plan.checkpoint is not None:
            if index == 0:
                folder = self._checkpoints.set_aside(plan.checkpoint)
                return Damage(str(folder / STATE_FILE), *at, is_fatal=False)
            index -= 1
        name = plan.segments[index] if index < len(plan.segments) else "?"
        return Damage(self._storage.path(name), *at, is_fatal=True)

    def forget(self, brain: int) -> None:
        self._plans.pop(brain, None)


def _number(found: object) -> int:
    return found if isinstance(found, int) else 0
