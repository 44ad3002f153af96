"""The data folder's file system: its kind, its room, and how long it takes to be durable."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from osupervisor.supervisor.doctor.finding import Finding, judged
from osupervisor.supervisor.doctor.mount import mount_of

MIB = 1 << 20
FREE_WANTED = 1024 * MIB
FREE_NEEDED = 192 * MIB  # a segment, the one after it, and a small checkpoint
SYNCS = 10
SYNC_BYTES = 4096
SYNC_S_WANTED = 0.010
SYNC_SECONDS_MAX = 2.0  # a disk so slow has shown it by then

LOCAL = frozenset({"ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "jfs"})
IN_MEMORY = frozenset({"tmpfs", "ramfs"})
NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "lustre", "virtiofs"}
    | {"vboxsf", "drvfs", "afs", "ocfs2", "gfs2", "beegfs"}
)


def examine(data: Path) -> Iterator[Finding]:
    """Kind, free room, inodes, time of a sync."""
    folder = nearest(data)
    yield _kind(folder)
    yield _room(folder)
    yield _sync(folder)


def nearest(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _kind(folder: Path) -> Finding:
    mount = mount_of(folder)
    kind = mount.kind if mount else "unknown"
    found = f"{kind} on {mount.point}" if mount else kind
    wanted = "a local disk's, such as ext4 or xfs"
    return judged("file_system", kind in LOCAL, found, wanted, what_follows(kind))


def what_follows(kind: str) -> str:
    """What it means to keep a log on a file system of this kind."""
    if kind in IN_MEMORY:
        return "It lies in memory: everything is gone after a reboot, whatever was synced."
    if kind in ("overlay", "overlayfs", "aufs"):
        return "It is a container's own layer and goes with the container; mount a volume there."
    if kind in NETWORK or kind.startswith("fuse"):
        return (
            "Locks and syncs are as good as the server's, and its pauses are the service's; "
            "put the data on a local disk."
        )
    return "Nothing is known about its syncs; the service was never tested on it."


def _room(folder: Path) -> Finding:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    inodes = found.f_favail if found.f_files else None  # some file systems don't count them
    shown = f"{free // MIB} MiB free" + (f", {inodes} inodes" if inodes is not None else "")
    wanted = f"{FREE_WANTED // MIB} MiB, and room for tape.bytes_max"
    if free < FREE_NEEDED or inodes == 0:
        follows = "The service starts read-only, or turns so soon. Make room."
        return Finding("disk_free", "bad", shown, wanted, follows)
    otherwise = "The service turns read-only when it is full. Make room, or lower tape.bytes_max."
    return judged("disk_free", free >= FREE_WANTED, shown, wanted, otherwise)


def _sync(folder: Path) -> Finding:
    wanted = f"{SYNC_S_WANTED * 1000:.0f} ms or less"
    try:
        times = sync_times(folder)
    except OSError as error:
        follows = f"Nothing can be written to {folder}. Choose another --data, or its owner."
        return Finding("fsync", "bad", f"fails: {error.strerror}", wanted, follows)
    median, worst = statistics.median(times), max(times)
    found = f"{median * 1000:.2f} ms, worst {worst * 1000:.2f} ms"
    otherwise = (
        f"With durability `always` each group of requests waits that long: "
        f"about {1 / median:.0f} groups per second."
    )
    return judged("fsync", median <= SYNC_S_WANTED, found, wanted, otherwise)


def sync_times(folder: Path) -> list[float]:
    """Seconds for each of up to SYNCS appends of 4 KiB with fdatasync; raises OSError."""
    times: list[float] = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while len(times) < SYNCS and sum(times) < SYNC_SECONDS_MAX:
            began = time.monotonic()
            file.write(b"\0" * SYNC_BYTES)
            os.fdatasync(file.fileno())
            times.append(time.monotonic() - began)
    return times
