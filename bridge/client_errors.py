"""Errors that the client library finds by itself, without an answer of the service. Pure."""

from osupervisor.bridge.call import BRAIN_CALL
from osupervisor.bridge.errors import BridgeError, NotRunningError, Timeout, Unavailable
from osupervisor.bridge.frames import HEADER_SIZE
from osupervisor.bridge.packing import DECODE_ERRORS, new_unpacker


def not_running(where: str, cause: Exception) -> NotRunningError:
    """The error for a service that can't be reached. `where`: as `str` of an address."""
    if where.startswith("tcp:"):
        hint = f"start the service with listen.tcp={where.removeprefix('tcp:')}, or correct this"
    else:
        hint = "start it with: osupervisor start; or name its data directory"
    return NotRunningError(f"no service answers at {where}: {cause}", hint)


def unknown() -> Unavailable:
    """Of a request that must not be repeated, and may have been done."""
    return Unavailable(
        "the connection broke before the answer, and it may have been done",
        "look whether it was, then ask again",
    )


def out_of_time(frame: bytes, *, sent: bool, reached: bool) -> BridgeError:
    """Of a request whose time is up. `reached`: somebody listens at the address."""
    name = _name(frame)
    if not sent and not reached:
        return NotRunningError(
            f"{name} was not sent: there was no connection until its deadline",
            "osupervisor status tells whether the service runs",
        )
    if not sent:
        return Timeout(
            f"{name} was not sent: the service did not greet until its deadline",
            "nothing was done; osupervisor status tells what the service does",
            {"where": "client", "sent": False},
        )
    return Timeout(
        f"{name} was not answered until its deadline",
        "it may still be executed: call with a key of your own, and the same key finds out",
        {"where": "client", "sent": True},
    )


def _name(frame: bytes) -> str:
    """What was asked for. Of the params no more is decoded: they may be long, or too deep."""
    unpacker = new_unpacker(len(frame))
    unpacker.feed(frame[HEADER_SIZE:])
    unpacker.read_array_header()
    unpacker.skip()
    unpacker.skip()
    method: str = unpacker.unpack()
    if method != BRAIN_CALL:
        return method
    try:
        unpacker.read_array_header()
        return f"{unpacker.unpack()}()"
    except DECODE_ERRORS:
        return method
