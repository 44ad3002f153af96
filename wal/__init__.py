"""The write-ahead log: records, segments, writer, reader, recovery, verify and repair.

Durable is what a sync has returned for; everything appended survives the death of processes.
Nothing is handed on that a checksum does not cover. `docs/formats/WAL.md` has the format.
"""

from osupervisor.wal.errors import (
    AppendFailed,
    CorruptRecordError,
    CorruptSegmentError,
    DamageError,
    LockedError,
    ReopenFailed,
    SealFailed,
    TruncateFailed,
    WalError,
)
from osupervisor.wal.lock import DirectoryLock
from osupervisor.wal.record import Kind, Record
from osupervisor.wal.recover import LogView, SegmentRange, read_log, reopen
from osupervisor.wal.storage import DirectoryStorage, LogFile, Storage
from osupervisor.wal.writer import SyncTarget, Writer

__all__ = [
    "AppendFailed",
    "CorruptRecordError",
    "CorruptSegmentError",
    "DamageError",
    "DirectoryLock",
    "DirectoryStorage",
    "Kind",
    "LockedError",
    "LogFile",
    "LogView",
    "Record",
    "ReopenFailed",
    "SealFailed",
    "SegmentRange",
    "Storage",
    "SyncTarget",
    "TruncateFailed",
    "WalError",
    "Writer",
    "read_log",
    "reopen",
]
