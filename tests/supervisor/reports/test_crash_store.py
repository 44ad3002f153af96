"""Crash reports: as bytes, as files, and among files that are none."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.reports import crash_store
from osupervisor.supervisor.reports.crash_report import (
    Cause,
    CrashReport,
    LastRequest,
    decode,
    encode,
    report_id,
)
from osupervisor.supervisor.reports.crash_store import KEPT, CrashStore, Unreadable
from osupervisor.supervisor.reports.errors import CorruptReportError, ReportNotFoundError

WHOLE = CrashReport(
    id="1763636400123-812",
    unix_s=1763636400.123,
    role="primary",
    cause=Cause("signal", 9, "SIGKILL"),
    brain="b7",
    pid=812,
    traceback="Current thread ...",
    request=LastRequest("place", "['packer', 17]"),
    output=("first line", "last line"),
    memory={"rss_bytes": 81264640},
    took_over="b8",
    lsn=4711,
    epoch=3,
)
BARE = CrashReport("1763636400124-0", 1763636400.124, "supervisor", Cause("exit_code", 70))

texts = st.text(max_size=20)
wholes = st.none() | st.integers(0, 2**63)
reports = st.builds(
    CrashReport,
    id=st.builds(report_id, st.floats(0, 9e9), wholes),
    unix_s=st.floats(0, 9e9),
    role=texts,
    cause=st.builds(Cause, texts, wholes, texts, texts),
    brain=st.none() | texts,
    pid=wholes,
    traceback=st.none() | texts,
    request=st.none() | st.builds(LastRequest, texts, texts),
    output=st.lists(texts, max_size=5).map(tuple),
    memory=st.dictionaries(texts, st.integers(0, 2**63), max_size=3),
    took_over=st.none() | texts,
    lsn=wholes,
    epoch=wholes,
)


@pytest.fixture
def store(tmp_path: Path) -> CrashStore:
    return CrashStore(tmp_path / "crashes")


def _at(number: int) -> CrashReport:
    unix_s = 1763636400.0 + number
    return replace(BARE, id=report_id(unix_s, number), unix_s=unix_s, pid=number)


def _readable(store: CrashStore) -> list[CrashReport]:
    return [found for found in store.ls() if isinstance(found, CrashReport)]


@given(report=reports)
def test_what_was_encoded_is_decoded(report: CrashReport) -> None:
    assert decode(encode(report)) == report


def test_the_file_to_the_letter() -> None:
    """People and scripts read it: a field that is renamed is a break."""
    assert json.loads(encode(WHOLE)) == {
        "id": "1763636400123-812",
        "unix_s": 1763636400.123,
        "role": "primary",
        "cause": {"kind": "signal", "number": 9, "name": "SIGKILL", "detail": ""},
        "brain": "b7",
        "pid": 812,
        "traceback": "Current thread ...",
        "request": {"op": "place", "key": "['packer', 17]"},
        "output": ["first line", "last line"],
        "memory": {"rss_bytes": 81264640},
        "took_over": "b8",
        "lsn": 4711,
        "epoch": 3,
    }


@given(data=st.binary(max_size=200) | texts.map(str.encode))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        decode(data)


@given(
    path=st.sampled_from([("pid",), ("cause",), ("cause", "number"), ("output",), ("memory",), ()]),
    value=st.none() | st.booleans() | st.floats() | texts | st.lists(st.none() | texts),
)
def test_a_report_with_a_field_of_another_type_is_none_or_is_whole(
    path: tuple[str, ...], value: Any
) -> None:
    found = json.loads(encode(WHOLE))
    place = found
    for name in path[:-1]:
        place = place[name]
    if path:
        place[path[-1]] = value
    else:
        found = value
    try:
        report = decode(json.dumps(found).encode())
    except ValueError:
        return
    assert decode(encode(report)) == report


def test_a_report_cut_anywhere_is_found_out(store: CrashStore, tmp_path: Path) -> None:
    store.put(BARE)
    whole = encode(WHOLE)
    # Without its last newline it is whole still.
    for cut in range(len(whole) - 1):
        (tmp_path / "crashes" / f"{WHOLE.id}.json").write_bytes(whole[:cut])
        with pytest.raises(CorruptReportError):
            store.show(WHOLE.id)
        newest, oldest = store.ls()
        assert newest == BARE
        assert isinstance(oldest, Unreadable) and oldest.id == WHOLE.id


def test_reports_are_listed_newest_first_and_shown_by_id(store: CrashStore) -> None:
    assert store.ls() == []
    for number in (3, 1, 2):
        store.put(_at(number))
    assert store.ls() == [_at(3), _at(2), _at(1)]
    assert store.show(_at(2).id) == _at(2)


def test_a_report_is_completed_under_its_id(store: CrashStore) -> None:
    store.put(replace(WHOLE, took_over=None))
    store.put(WHOLE)
    assert store.ls() == [WHOLE]


def test_the_last_hundred_are_kept(store: CrashStore, tmp_path: Path) -> None:
    left_behind = tmp_path / "crashes" / f"{_at(0).id}.json.tmp"
    store.put(_at(1))
    left_behind.write_bytes(b"half a rep")
    for number in range(2, KEPT + 21):
        store.put(_at(number))
    assert _readable(store) == [_at(number) for number in range(KEPT + 20, 20, -1)]
    assert not left_behind.exists()


def test_files_that_are_no_reports_survive_and_do_no_harm(
    store: CrashStore, tmp_path: Path
) -> None:
    store.put(WHOLE)
    folder = tmp_path / "crashes"
    (folder / "README").write_text("mine")
    (folder / "notes.json").write_text("{}")
    (folder / f"{report_id(1.0, 1)}.json").mkdir()
    (folder / f"{report_id(2.0, 2)}.json").write_text('{"id": 7}')
    (folder / f"{report_id(3.0, 3)}.json").symlink_to(folder / "nowhere")
    found = store.ls()
    assert found[0] == WHOLE
    assert {f.id for f in found[1:] if isinstance(f, Unreadable)} == {
        report_id(1.0, 1),
        report_id(2.0, 2),
    }
    for number in range(1, KEPT + 10):
        store.put(_at(number))
    assert len(_readable(store)) == KEPT
    assert (folder / "README").exists() and (folder / "notes.json").exists()


@pytest.mark.parametrize("name", ["", "..", "../secret", "1763636400123-812.json", "latest", "%00"])
def test_an_id_is_never_a_path(store: CrashStore, name: str) -> None:
    store.put(WHOLE)
    with pytest.raises(ReportNotFoundError):
        store.show(name)
    with pytest.raises(ValueError, match="report_id makes them"):
        store.put(replace(WHOLE, id=name))


def test_a_file_far_too_long_is_not_read(
    store: CrashStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crash_store, "REPORT_BYTES_MAX", 100)
    store.put(WHOLE)
    with pytest.raises(CorruptReportError, match="more than 100 bytes"):
        store.show(WHOLE.id)


def test_a_report_that_can_not_be_written_leaves_the_old_one(
    store: CrashStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(replace(WHOLE, took_over=None))

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.put(WHOLE)
    assert store.ls() == [replace(WHOLE, took_over=None)]
    assert os.listdir(tmp_path / "crashes") == [f"{WHOLE.id}.json"]


def test_reports_are_their_owners_alone(store: CrashStore, tmp_path: Path) -> None:
    store.put(WHOLE)
    folder = tmp_path / "crashes"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / f"{WHOLE.id}.json").stat().st_mode & 0o777 == 0o600
