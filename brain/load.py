"""Loads a follower from descriptors: a checkpoint's state file and the log's segments behind it.

Every byte used is covered by a checksum, and what is damaged is named by descriptor, offset and
LSN: the supervisor knows which file that was, and falls back to an older checkpoint or refuses to
start.
"""

import contextlib
import errno
import gc
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from osupervisor.brain.errors import BrainError, FollowerError, PortError
from osupervisor.brain.follower import Follower, walk_operations
from osupervisor.brain.state import StateTree
from osupervisor.vault_store.errors import CorruptCheckpointError
from osupervisor.vault_store.state_reader import read_state
from osupervisor.wal import reader
from osupervisor.wal.errors import CorruptRecordError, CorruptSegmentError, WalError

_UNREADABLE: Final = frozenset(
    {errno.EIO, errno.ENXIO, errno.ENODATA, errno.EBADMSG, errno.EUCLEAN, errno.EREMOTEIO}
)
"""What a disk or file system says of bytes that are lost. Of other errors (no memory, a file server
that is away) the file knows nothing: the brain dies of them, and another one reads it again."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A load message, checked. `segments`: first and last LSN to use of each segment descriptor."""

    checkpoint: int | None
    segments: list[tuple[int, int]]
    upto: int
    epoch: int


class DamagedError(BrainError):
    """A file is damaged; `report` is what the supervisor is told."""

    def __init__(self, file: int, offset: int, lsn: int, reason: str) -> None:
        self.report = {"file": file, "offset": offset, "lsn": lsn, "reason": reason}
        super().__init__(f"descriptor {file}, offset {offset}, LSN {lsn}: {reason}")


def load(follower: Follower, params: dict[str, Any], descriptors: list[int]) -> None:
    """Bring `follower` to the state at `upto`; the descriptors stay open.

    With a checkpoint it begins there, whatever it was; without one it goes on from its own LSN.
    Raises DamagedError naming the first descriptor that is damaged, PortError when the message
    and the descriptors contradict each other. The follower is then to be thrown away.
    """
    plan = _plan(params, len(descriptors))
    files = list(enumerate(descriptors))
    with _CollectorAtRest():
        if plan.checkpoint is not None:
            index, fd = files.pop(0)
            _load_checkpoint(follower.tree, index, fd)
            follower.lsn, follower.epoch = plan.checkpoint, 0
        end = follower.lsn
        for (index, fd), (first, last) in zip(files, plan.segments, strict=True):
            end = _replay(follower, index, fd, first, min(last, plan.upto), end)
    if end != plan.upto:
        raise PortError(f"the descriptors end at LSN {end}, wanted {plan.upto}")
    if follower.lsn != end or not follower.epoch:
        follower.epoch = _epoch(plan, files)
    follower.lsn = end


def files_of(params: dict[str, Any]) -> int:
    """How many descriptors belong to a load message."""
    return len(params["segments"]) + (params["checkpoint"] is not None)


def _plan(params: dict[str, Any], descriptors: int) -> Plan:
    plan = Plan(
        params["checkpoint"],
        [(first, last) for first, last in params["segments"]],
        params["upto"],
        params.get("epoch", 0),
    )
    wanted = files_of(params)
    if descriptors != wanted:
        raise PortError(f"a load names {wanted} files and brought {descriptors} descriptors")
    return plan


def _load_checkpoint(tree: StateTree, index: int, fd: int) -> None:
    try:
        with _read(index):
            tree.refill(lambda root: read_state(fd, root=root)[1])
    except CorruptCheckpointError as error:
        raise DamagedError(index, error.offset, 0, error.reason) from error


def _replay(follower: Follower, index: int, fd: int, first: int, last: int, end: int) -> int:
    """Apply the commits behind LSN `end`, up to `last`; where the log has been read to then."""
    if first > end + 1:
        raise PortError(f"segments leave out LSN {end + 1} to {first - 1}")
    if last <= end:
        return end
    try:
        with _read(index):
            for runs in reader.iter_runs(fd, end, last, walk_operations):
                follower.apply_runs(runs)
    except (CorruptRecordError, CorruptSegmentError) as error:
        raise _damaged(index, error) from error
    except FollowerError as error:
        raise DamagedError(index, 0, error.lsn, str(error)) from error
    return last


@contextlib.contextmanager
def _read(index: int) -> Generator[None]:
    """What is done within reads the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise DamagedError(index, 0, 0, f"can't be read: {error.strerror}") from error


def _damaged(index: int, error: WalError) -> DamagedError:
    offset: int = getattr(error, "offset", 0)
    lsn: int | None = getattr(error, "lsn", None)
    reason: str = getattr(error, "reason", str(error))
    return DamagedError(index, offset, lsn or 0, reason)


def _epoch(plan: Plan, files: list[tuple[int, int]]) -> int:
    """The epoch of the last record, or the message's own where no segment holds that record."""
    for (index, fd), (first, last) in zip(files, plan.segments, strict=True):
        if first <= plan.upto <= last:
            try:
                with _read(index):
                    return reader.find(fd, plan.upto).epoch
            except WalError as error:
                raise _damaged(index, error) from error
    return plan.epoch


class _CollectorAtRest:
    """No collection while a state is built: nothing of it is garbage."""

    def __enter__(self) -> None:
        self._enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *_exception: object) -> None:
        gc.freeze()
        if self._enabled:
            gc.enable()
