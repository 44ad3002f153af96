"""The log as people and their tools read it: one dict of JSON values for each record.

Keys, requests and commits are opaque to the log. They are MessagePack as a rule, and shown so:
each as the list of the values that stand in it one behind the other. What JSON doesn't have is
shown as a dict of one member: {"bytes": hex}, {"ext": [type, hex]}, {"map": [[key, value], ...]},
{"float": "nan"}.
What is no whole MessagePack is shown as bytes.
"""

import math
from collections.abc import Iterator
from typing import Any

import msgpack  # type: ignore[import-untyped]

from osupervisor.wal import record, salvage
from osupervisor.wal.record import Kind, Record
from osupervisor.wal.salvage import Damage, Whole
from osupervisor.wal.scan import LSN_MAX
from osupervisor.wal.segment import segment_name
from osupervisor.wal.storage import Storage
from osupervisor.wal.survey import TornTail

Json = dict[str, Any]

_msgpack: Any = msgpack  # it ships no types


class _Array(list[Any]):
    """An array's members."""


class _Map(list[tuple[Any, Any]]):
    """A map's pairs: keys may be of any kind, and even double."""


def dump(storage: Storage, first_lsn: int = 1, last_lsn: int = LSN_MAX) -> Iterator[Json]:
    """The records `first_lsn` to `last_lsn`, each a dict with its `lsn`.

    Where the log can't be read there is a dict with `damage`, at its end perhaps one with `torn`.
    Raises OSError.
    """
    for piece in salvage.pieces(storage):
        match piece:
            case Whole():
                yield from _records(piece, first_lsn, last_lsn)
            case Damage():
                yield {
                    "damage": piece.reason,
                    "file": piece.file,
                    "offset": piece.offset,
                    "lsn": piece.lsn,
                    "next_lsn": piece.next_lsn,
                }
            case TornTail():
                yield {
                    "torn": piece.file,
                    "offset": piece.offset,
                    "end": piece.end,
                    "headers": piece.headers,
                }


def _records(whole: Whole, first_lsn: int, last_lsn: int) -> Iterator[Json]:
    offset, lsn = whole.offset, whole.first_lsn
    for raw in whole.records:
        if first_lsn <= lsn <= last_lsn:
            yield _shown(record.unpack(raw), segment_name(whole.segment_lsn), offset, len(raw))
        offset += len(raw)
        lsn += 1


def _shown(found: Record, segment: str, offset: int, size: int) -> Json:
    commit = _values(found.commit)
    if found.kind is Kind.COMMIT:
        commit = _Array(_values(part) if isinstance(part, bytes) else part for part in commit)
    return {
        "lsn": found.lsn,
        "epoch": found.epoch,
        "kind": found.kind.name.lower(),
        "t_us": found.t_us,
        "synced": found.synced,
        "key": _json(_values(found.key)),
        "request": _json(_values(found.request)),
        "commit": _json(commit),
        "segment": segment,
        "offset": offset,
        "bytes": size,
    }


def _values(data: bytes) -> _Array:
    """The MessagePack values in `data`, or `data` itself when they don't fill it exactly."""
    unpacker = _msgpack.Unpacker(
        strict_map_key=False,
        object_pairs_hook=_Map,
        list_hook=_Array,
        max_buffer_size=max(len(data), 1),
    )
    unpacker.feed(data)
    values = _Array()
    try:
        while unpacker.tell() < len(data):
            values.append(unpacker.unpack())
    except (ValueError, _msgpack.UnpackException):
        return _Array([data])
    return values


def _json(value: Any) -> Any:
    match value:
        case _Map():
            return _object(value)
        case _Array():
            return [_json(member) for member in value]
        case bytes():
            return {"bytes": value.hex()}
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case None | bool() | int() | float() | str():
            return value
        case _:
            return {"ext": _ext(value)}


def _object(pairs: _Map) -> Json:
    names = [key for key, _ in pairs]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return {key: _json(member) for key, member in pairs}
    return {"map": [[_json(key), _json(member)] for key, member in pairs]}


def _ext(value: Any) -> list[Any]:
    if isinstance(value, _msgpack.Timestamp):
        return [-1, value.to_bytes().hex()]
    return [value.code, value.data.hex()]
