"""What a request is called: the keys of idempotency, strikes and pending work. Pure.

    in memory                   as MessagePack in a record's envelope   who
    ------------------------    ------------------------------------    ---------------------------
    (client, number)            [client: str|bin, number, seen]         the client library
    "text"                      str                                     any other client
    (epoch, lsn, i)             [epoch, lsn, i]                         effect i of commit `lsn`
    (boot, arrival)             [boot, arrival]                         a call without a key

`seen` travels in the envelope of a library key alone: "I have every answer below this number".
"""

from typing import Any, Final, TypeAlias, TypeGuard

from librt.strings import BytesWriter, write_i16_be, write_i32_be, write_i64_be

from osupervisor.bridge import packing

ClientKey: TypeAlias = tuple[bytes | str, int]
PendingKey: TypeAlias = tuple[int, int, int]
ArrivalKey: TypeAlias = tuple[int, int]
Key: TypeAlias = ClientKey | str | PendingKey | ArrivalKey

_2_63: Final = 2**63

_pack: Final = packing.new_packer().pack


def is_client_key(key: Key) -> TypeGuard[ClientKey]:
    return type(key) is tuple and type(key[0]) is not int


def is_pending_key(key: Key) -> TypeGuard[PendingKey]:
    return type(key) is tuple and len(key) == 3


def encode(key: Key, seen: int) -> bytes:
    """The envelope's key. `seen` counts for a client's key and is dropped for any other."""
    if not is_client_key(key):
        return _pack(key)
    client, number = key
    if type(client) is not bytes or len(client) > 0xFF:
        return _pack((client, number, seen))
    writer = BytesWriter()
    writer.append(0x93)
    writer.append(0xC4)
    writer.append(len(client))
    writer.write(client)
    _write_uint(writer, number)
    _write_uint(writer, seen)
    return writer.getvalue()


def _write_uint(writer: BytesWriter, number: int) -> None:
    """In its shortest form, as `packing.pack` does it."""
    if number < 0x80:
        writer.append(number)
    elif number < 0x100:
        writer.append(0xCC)
        writer.append(number)
    elif number < 0x1_0000:
        writer.append(0xCD)
        write_i16_be(writer, number if number < 0x8000 else number - 0x1_0000)
    elif number < 0x1_0000_0000:
        writer.append(0xCE)
        write_i32_be(writer, number if number < 0x8000_0000 else number - 0x1_0000_0000)
    else:
        writer.append(0xCF)
        write_i64_be(writer, number if number < _2_63 else number - 2 * _2_63)


def decode(data: bytes) -> tuple[Key, int]:
    """The key of an envelope, and its `seen` (0 where there is none). Trusts its checksum."""
    value: Any = packing.unpack(data)
    if isinstance(value, str):
        return value, 0
    first = value[0]
    if isinstance(first, (str, bytes)):
        return (first, value[1]), value[2]
    return tuple(value), 0


def describe(key: Key) -> list[str | int] | str:
    """The key as JSON can hold it, bytes as hex."""
    if isinstance(key, str):
        return key
    return [part.hex() if isinstance(part, bytes) else part for part in key]
