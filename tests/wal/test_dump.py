"""The log as JSON."""

import json
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from osupervisor.wal.dump import Json, dump
from osupervisor.wal.record import Kind, encode
from osupervisor.wal.recover import reopen
from tests.wal.disk import Disk
from tests.wal.logs import flip_record, three_segments
from tests.wal.session import BOOT_ID

_msgpack: Any = msgpack


def pack(*values: object) -> bytes:
    return b"".join(_msgpack.packb(value) for value in values)


def dumped(key: bytes, request: bytes, commit: bytes, kind: Kind = Kind.COMMIT) -> Json:
    disk = Disk()
    writer = reopen(disk, BOOT_ID, 0, [], 1000)
    writer.append([encode(1, 3, kind, 1234, 0, key, request, commit)], 1)
    (only,) = dump(disk)
    assert json.loads(json.dumps(only)) == only
    return only


def test_a_commit_is_shown_with_all_that_is_in_it() -> None:
    request = pack(["add", ["hits"], {"n": 3}, 5, 2**64 - 1])
    commit = pack(pack(None, 7), pack([[1, ["state", "hits"], 7]]), pack([]))
    assert dumped(pack(["client", 4, 2]), request, commit) == {
        "lsn": 1,
        "epoch": 3,
        "kind": "commit",
        "t_us": 1234,
        "synced": 0,
        "key": [["client", 4, 2]],
        "request": [["add", ["hits"], {"n": 3}, 5, 2**64 - 1]],
        "commit": [[None, 7], [[[1, ["state", "hits"], 7]]], [[]]],
        "segment": "00000000000000000001.wal",
        "offset": 64,
        "bytes": 48 + len(pack(["client", 4, 2])) + len(request) + len(commit),
    }


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", []),
        (pack(b"\x01\xff"), [{"bytes": "01ff"}]),
        (b"\xc1", [{"bytes": "c1"}]),
        (b"\x92\x01", [{"bytes": "9201"}]),
        (b"\x01\xa5ab", [{"bytes": "01a56162"}]),
        (b"\xa1\xff", [{"bytes": "a1ff"}]),
        (b"\xd4\xff\x00", [{"bytes": "d4ff00"}]),
        (pack({1: "a", "b": 2}), [{"map": [[1, "a"], ["b", 2]]}]),
        (b"\x82\xa1a\x01\xa1a\x02", [{"map": [["a", 1], ["a", 2]]}]),
        (b"\x81\x91\x01\x02", [{"map": [[[1], 2]]}]),
        (pack({"a": {"b": [1.5, True, None]}}), [{"a": {"b": [1.5, True, None]}}]),
        (pack(float("nan"), float("-inf")), [{"float": "nan"}, {"float": "-inf"}]),
        (pack(_msgpack.ExtType(5, b"\x07")), [{"ext": [5, "07"]}]),
        (b"\xd6\xff\x00\x00\x00\x01", [{"ext": [-1, "00000001"]}]),
        (b"\x91" * 2000 + b"\x01", [{"bytes": ("91" * 2000) + "01"}]),
    ],
)
def test_anything_can_be_shown(data: bytes, shown: list[Any]) -> None:
    assert dumped(data, b"", b"")["key"] == shown
    assert dumped(b"", data, b"")["request"] == shown
    assert dumped(b"", b"", data, Kind.CONTROL)["commit"] == shown


def test_a_stretch_of_the_log_is_shown() -> None:
    disk, owed = three_segments()
    assert [one["lsn"] for one in dump(disk)] == list(range(1, 11))
    shown = list(dump(disk, 3, 8))
    assert [one["lsn"] for one in shown] == list(range(3, 9))
    assert [one["offset"] for one in shown][1:4] == [
        64,
        64 + len(owed.log[3]),
        64 + len(owed.log[3]) + len(owed.log[4]),
    ]


def test_damage_is_shown_where_it_is() -> None:
    disk, owed = three_segments()
    flip_record(disk, owed, 2)
    flip_record(disk, owed, 9)
    shown = list(dump(disk))
    assert [one.get("lsn") for one in shown] == [1, 2, 3, 4, 5, 6, 7, 8, None]
    assert shown[1]["next_lsn"] == 3 and "checksum" in shown[1]["damage"]
    assert shown[-1]["torn"] == "disk/00000000000000000007.wal"
