"""A supervisor that does nothing but append: `appender.py DATA SEED [SEGMENT_BYTES_MAX [BATCHES]]`.

Takes the lock, reads the log, reopens it and appends batches until it is killed, or so many. It
tells on standard output, one line each and unbuffered, what it could have told a client: "appended
N" after an append, "durable N" after a sync. When the disk refuses: "refused N", where N is the
last record that counts; when a sync fails: "unsynced N"; and it heals, or says "full N" and ends.
"""

import itertools
import os
import random
import sys
from pathlib import Path

from osupervisor.wal.errors import AppendFailed, ReopenFailed
from osupervisor.wal.lock import DirectoryLock
from osupervisor.wal.record import Kind, decode, encode
from osupervisor.wal.recover import read_log, reopen
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.writer import Writer

SYNC_EVERY = 7


def say(what: str, lsn: int) -> None:
    os.write(1, f"{what} {lsn}\n".encode())


def batch(rng: random.Random, first_lsn: int, durable: int, kind: Kind) -> list[bytes]:
    count = 1 if kind is Kind.CONTROL else rng.randint(1, 30)
    return [
        encode(lsn, 1, kind, lsn, durable, b"%d" % lsn, b"r" * rng.randint(0, 200), b"c" * 50)
        for lsn in range(first_lsn, first_lsn + count)
    ]


def sync(writer: Writer) -> None:
    target = writer.sync_target()
    target.run()
    writer.note_durable(target.lsn)
    say("durable", target.lsn)


def append(writer: Writer, records: list[bytes], kind: Kind) -> None:
    first_lsn = writer.last_lsn + 1
    if kind is Kind.CONTROL:
        writer.append_control(records[0], first_lsn)
    else:
        writer.append(records, first_lsn)
    say("appended", writer.last_lsn)


def main() -> None:
    data, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    segment_bytes_max = int(sys.argv[3]) if len(sys.argv) > 3 else 32 * 1024
    batches = range(int(sys.argv[4])) if len(sys.argv) > 4 else itertools.count()
    DirectoryLock.acquire(data)
    (data / "wal").mkdir(exist_ok=True)
    storage = DirectoryStorage(data / "wal")
    view = read_log(storage)
    retained = view.raw(view.durable_lsn + 1)
    writer = reopen(storage, bytes(16), view.durable_lsn, retained, segment_bytes_max)
    say("durable", writer.durable_lsn)
    retained.clear()
    for _ in batches:
        kind = Kind.CONTROL if rng.random() < 0.05 else Kind.COMMIT
        records = batch(rng, writer.last_lsn + 1, writer.durable_lsn, kind)
        try:
            append(writer, records, kind)
            retained += records
            if rng.randrange(SYNC_EVERY) == 0:
                sync(writer)
        except AppendFailed as error:
            retained += records[: error.whole]
            say("refused", writer.last_lsn)
            writer = heal(storage, writer, retained, segment_bytes_max)
        except OSError:
            say("unsynced", writer.last_lsn)
            writer = heal(storage, writer, retained, segment_bytes_max)
        retained = [raw for raw in retained if lsn_of(raw) > writer.durable_lsn]


def heal(
    storage: DirectoryStorage, writer: Writer, retained: list[bytes], segment_bytes_max: int
) -> Writer:
    behind = [raw for raw in retained if lsn_of(raw) > writer.durable_lsn]
    try:
        healed = reopen(storage, bytes(16), writer.durable_lsn, behind, segment_bytes_max)
    except ReopenFailed:
        say("full", writer.last_lsn)
        sys.exit(0)
    writer.abandon()
    return healed


def lsn_of(raw: bytes) -> int:
    found = decode(raw, 0)
    assert found is not None
    return found[0].lsn


if __name__ == "__main__":
    main()
