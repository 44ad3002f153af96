"""The options of `brain.call`: what they may be. Pure.

key          string, or [client, number]     idempotency key
seen         uint64                          I have every answer below this number
session      string                          what routing goes by
timeout_s    number                          bounds waiting, and execution
durability   "everysec" or "always"          what an answer waits for
"""

from typing import Final, Literal, TypeAlias, cast

from osupervisor.bridge.errors import RemoteProtocolError, shown

UINT_MAX: Final = 2**64 - 1
STRING_KEY_BYTES_MAX: Final = 128
CLIENT_BYTES_MAX: Final = 64
SESSION_BYTES_MAX: Final = 128
OPTIONS_BYTES_MAX: Final = 1024
"""All options at their longest take about 450 bytes."""
TIMEOUT_S_MAX: Final = 86_400
"""A day: what is longer is a mistake in the unit."""

Durability: TypeAlias = Literal["everysec", "always"]
CallKey: TypeAlias = tuple[str | bytes, int] | str
Options: TypeAlias = tuple[CallKey | None, int, str | None, float | None, Durability | None]
"""Key, seen (0: nothing said), session, timeout_s, durability."""

_NO_OPTIONS: Final[Options] = (None, 0, None, None, None)
_SEE: Final = "docs/PROTOCOL.md says what brain.call takes"


def read_options(options: object) -> Options:
    """Key, seen, session, timeout and durability, checked. Raises RemoteProtocolError."""
    if type(options) is not dict:
        raise RemoteProtocolError(f"options must be a map, found {shown(options, 100)}", _SEE)
    given = cast("dict[object, object]", options)
    key, seen, session, timeout_s, durability = _NO_OPTIONS
    for name, value in given.items():
        if name == "key":
            key = _read_key(value)
        elif name == "seen":
            seen = _read_seen(value)
        elif name == "timeout_s":
            timeout_s = _read_timeout_s(value)
        elif name == "session":
            session = _read_session(value)
        elif name == "durability":
            durability = _read_durability(value)
        else:
            raise RemoteProtocolError(
                f"unknown option {shown(name, 100)}",
                "there are key, seen, session, timeout_s and durability",
            )
    if "seen" in given and (type(key) is not tuple or seen > key[1]):
        raise RemoteProtocolError(
            f"found seen {seen} and the key {shown(key, 200)}",
            "seen goes with a key [client, number], and is at most that number",
        )
    return key, seen, session, timeout_s, durability


def _read_key(value: object) -> CallKey:
    if type(value) is str:
        if 0 < len(value.encode()) <= STRING_KEY_BYTES_MAX:
            return value
    elif type(value) is list and len(cast("list[object]", value)) == 2:
        client, number = cast("list[object]", value)
        if type(number) is int and 0 <= number <= UINT_MAX:
            if type(client) is bytes and 0 < len(client) <= CLIENT_BYTES_MAX:
                return client, number
            if type(client) is str and 0 < len(client.encode()) <= CLIENT_BYTES_MAX:
                return client, number
    raise RemoteProtocolError(
        f"found the key {shown(value, 200)}",
        f"a key is a string of 1 to {STRING_KEY_BYTES_MAX} bytes, or [client, number] with a "
        f"client of 1 to {CLIENT_BYTES_MAX} bytes and a uint64",
    )


def _read_seen(value: object) -> int:
    if type(value) is int and 0 <= value <= UINT_MAX:
        return value
    raise RemoteProtocolError(f"found seen {shown(value, 100)}", "it is a uint64")


def _read_session(value: object) -> str:
    if isinstance(value, str) and 0 < len(value.encode()) <= SESSION_BYTES_MAX:
        return value
    raise RemoteProtocolError(
        f"found the session {shown(value, 200)}",
        f"it is a string of 1 to {SESSION_BYTES_MAX} bytes",
    )


def _read_timeout_s(value: object) -> float:
    if type(value) in (int, float) and 0 < cast(float, value) <= TIMEOUT_S_MAX:
        return float(cast(float, value))
    raise RemoteProtocolError(
        f"found timeout_s {shown(value, 100)}",
        f"it is a number over 0 and at most {TIMEOUT_S_MAX}",
    )


def _read_durability(value: object) -> Durability:
    if value in ("everysec", "always"):
        return value
    raise RemoteProtocolError(f"found durability {shown(value, 100)}", "it is everysec or always")
