"""Logs to try things on: three small segments with everything in them."""

import pytest

from osupervisor.wal import hint
from osupervisor.wal.recover import read_log
from osupervisor.wal.segment import first_lsn_of
from tests.wal import session
from tests.wal.disk import Disk
from tests.wal.session import Owed, Session

SEGMENTS = ["00000000000000000001.wal", "00000000000000000004.wal", "00000000000000000007.wal"]


def three_segments() -> tuple[Disk, Owed]:
    """Records 1 to 3, 4 to 6, 7 to 10. The hint leads to control record 4; durable is 7, and
    records 8 to 10 say so.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "SEGMENT_BYTES_MAX", 400)
        disk, owed = Disk(), Owed()
        life = Session(disk, owed, epoch=1)
        for _ in range(3):
            life.append([20])
        life.append_control(30)
        for _ in range(3):
            life.append([20])
        life.sync()
        life.append([20])
        life.append([20, 5])
    assert [name for name in disk.names() if first_lsn_of(name) is not None] == SEGMENTS
    assert read_log(disk).control is not None and hint.read(disk) is not None
    assert owed.durable == 7 < len(owed.log) == 10
    return disk, owed


def flip_record(disk: Disk, owed: Owed, lsn: int) -> None:
    """Flip a bit in the middle of a record."""
    name = SEGMENTS[(lsn - 1) // 3 if lsn < 10 else 2]
    at = bytes(disk.content(name)).index(owed.log[lsn - 1])
    disk.content(name)[at + len(owed.log[lsn - 1]) // 2] ^= 4
