"""What supervisor and brain say to each other on the port, as whole frames. Pure.

    S>B  [0, n, "call", [epoch, key, request]]      B>S  [1, n, nil, [epoch, outcome, ops, effects]]
         [0, n, "state", [epoch, path]]                  [1, n, nil, [epoch, outcome]]   (a query)
         [0, id, "read", [request]]                      [1, id, nil, [0, outcome]]
         [0, id, "read_state", [path]]
         [0, id, "kernel.ping", []]                      [1, id, nil, {"lsn", "epoch"}]
         [2, "record", [bin]]   [2, "confirm", [n, lsn]]   [2, "lease", [epoch, lsn]]
         [2, "fence", []]                                [2, "fenced", [lsn]]
         [2, "load", [{...}]]                            [2, "ready", [{...}]]
                                                         [2, "damaged", [{...}]]
         [2, "checkpoint", [lsn]]   [2, "spawn", [id]]   [2, "spawned", [id, pid]]
         [2, "shutdown", []]

Deliveries have the ids n = 1, 2, 3 ... of their epoch; what is asked beside them has ids from
READ_ID_MIN or PING_ID_MIN on. Keys, requests and commits are bytes that are spliced, never packed
a second time.
"""

import struct
from typing import Final

from osupervisor.bridge import packing

READ_ID_MIN: Final = 2**62
PING_ID_MIN: Final = 2**63
DELIVERIES_MAX: Final = 2**31
"""Deliveries under one lease: on the port n is a uint32, and half of its range is left for whoever
counts on. At 100,000 calls a second that is one new lease in six hours."""
PORT_FRAME_BYTES_MAX: Final = 33 * 2**20
"""A record may carry a request and a commit of 16 MiB each."""

_CALL: Final = struct.Struct(">IBBBI5sBBI")
_STATE: Final = struct.Struct(">IBBBI6sBBI")
_CONFIRM: Final = struct.Struct(">IBB8sBBIBQ")
_HEAD: Final = struct.Struct(">I")
_TAIL: Final = struct.Struct(">BQBQ")

_pack: Final = packing.new_packer().pack


def call_frame(n: int, epoch: int, key: bytes, request: bytes) -> bytes:
    size = _CALL.size - 4 + len(key) + len(request)
    head = _CALL.pack(size, 0x94, 0, 0xCE, n, b"\xa4call", 0x93, 0xCE, epoch)
    return head + key + request


def state_frame(n: int, epoch: int, path: bytes) -> bytes:
    size = _STATE.size - 4 + len(path)
    return _STATE.pack(size, 0x94, 0, 0xCE, n, b"\xa5state", 0x92, 0xCE, epoch) + path


def read_frame(message_id: int, request: bytes) -> bytes:
    return _frame(b"\x94\x00" + _pack(message_id) + _pack("read") + b"\x91" + request)


def read_state_frame(message_id: int, path: bytes) -> bytes:
    return _frame(b"\x94\x00" + _pack(message_id) + _pack("read_state") + b"\x91" + path)


def request_bytes(params: bytes, t_us: int, seed: int) -> bytes:
    """[op, args, kwargs, t, seed] around the three objects in `params`. The last 18 bytes are t
    (log time in microseconds) and seed, each as a uint64."""
    return b"\x95" + params + _TAIL.pack(0xCF, t_us, 0xCF, seed)


def confirm_frame(n: int, lsn: int) -> bytes:
    size = _CONFIRM.size - 4
    return _CONFIRM.pack(size, 0x93, 2, b"\xa7confirm", 0x92, 0xCE, n, 0xCF, lsn)


def record_frames(records: list[bytes]) -> list[bytes]:
    """Whole records in LSN order, in as few frames as the port's limit allows."""
    frames: list[bytes] = []
    start, size = 0, 0
    for index, record in enumerate(records):
        if size and size + len(record) > PORT_FRAME_BYTES_MAX - 32:
            frames.append(_record_frame(b"".join(records[start:index])))
            start, size = index, 0
        size += len(record)
    if size:
        frames.append(_record_frame(b"".join(records[start:])))
    return frames


def _record_frame(records: bytes) -> bytes:
    size = len(records)
    return b"".join(
        (_HEAD.pack(size + 15), b"\x93\x02\xa6record\x91\xc6", _HEAD.pack(size), records)
    )


def notify_frame(method: str, *params: object) -> bytes:
    return _frame(_pack([2, method, list(params)]))


def ping_frame(message_id: int) -> bytes:
    return _frame(b"\x94\x00" + _pack(message_id) + _pack("kernel.ping") + b"\x90")


def _frame(body: bytes) -> bytes:
    return _HEAD.pack(len(body)) + body
