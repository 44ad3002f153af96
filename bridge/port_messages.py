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

from librt.strings import BytesWriter, write_i32_be, write_i64_be

from osupervisor.bridge import packing

READ_ID_MIN: Final = 2**62
PING_ID_MIN: Final = 2**63
DELIVERIES_MAX: Final = 2**31 - 1
"""Deliveries under one lease: on the port n is a uint32, of which half the range is used. At
100,000 calls a second that is one new lease in six hours."""
PORT_FRAME_BYTES_MAX: Final = 65 * 2**20
"""A record may carry a request and a commit of 16 MiB each, or 64 MiB of control state."""
BATCH_BYTES_MAX: Final = 32 * 2**20
"""Records that are sent in one frame; a longer one has a frame of its own."""

_CONFIRM: Final = struct.Struct(">IBB8sBBIBQ")
_HEAD: Final = struct.Struct(">I")
_CALL_SIZE: Final = 18
_STATE_SIZE: Final = 19

_pack: Final = packing.new_packer().pack


def call_frame(n: int, epoch: int, key: bytes, request: bytes) -> bytes:
    writer = BytesWriter()
    write_call(writer, n, epoch, key, request)
    return writer.getvalue()


def state_frame(n: int, epoch: int, path: bytes) -> bytes:
    writer = BytesWriter()
    write_state(writer, n, epoch, path)
    return writer.getvalue()


def write_call(writer: BytesWriter, n: int, epoch: int, key: bytes, request: bytes) -> None:
    """The frame of one delivery. n and epoch have 31 bits."""
    write_i32_be(writer, _CALL_SIZE + len(key) + len(request))
    writer.write(b"\x94\x00\xce")
    write_i32_be(writer, n)
    writer.write(b"\xa4call\x93\xce")
    write_i32_be(writer, epoch)
    writer.write(key)
    writer.write(request)


def write_state(writer: BytesWriter, n: int, epoch: int, path: bytes) -> None:
    """The frame of one delivery that asks for a part of the state."""
    write_i32_be(writer, _STATE_SIZE + len(path))
    writer.write(b"\x94\x00\xce")
    write_i32_be(writer, n)
    writer.write(b"\xa5state\x92\xce")
    write_i32_be(writer, epoch)
    writer.write(path)


def read_frame(message_id: int, request: bytes) -> bytes:
    return _frame(b"\x94\x00" + _pack(message_id) + _pack("read") + b"\x91" + request)


def read_state_frame(message_id: int, path: bytes) -> bytes:
    return _frame(b"\x94\x00" + _pack(message_id) + _pack("read_state") + b"\x91" + path)


def request_bytes(params: bytes, t_us: int, seed: int) -> bytes:
    """[op, args, kwargs, t, seed] around the three objects in `params`. The last 18 bytes are t
    (log time in microseconds) and seed, each as a uint64, of which
    63 bits are used."""
    writer = BytesWriter()
    writer.append(0x95)
    writer.write(params)
    writer.append(0xCF)
    write_i64_be(writer, t_us)
    writer.append(0xCF)
    write_i64_be(writer, seed)
    return writer.getvalue()


def confirm_frame(n: int, lsn: int) -> bytes:
    size = _CONFIRM.size - 4
    return _CONFIRM.pack(size, 0x93, 2, b"\xa7confirm", 0x92, 0xCE, n, 0xCF, lsn)


def record_frames(records: list[bytes]) -> list[bytes]:
    """Whole records in LSN order, in as few frames as BATCH_BYTES_MAX allows."""
    frames: list[bytes] = []
    start, size = 0, 0
    for index, record in enumerate(records):
        if size and size + len(record) > BATCH_BYTES_MAX:
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
