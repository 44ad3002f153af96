"""`host:port`, as settings and commands give the address of a TCP socket. Pure.

    127.0.0.1:7070   localhost:7070   0.0.0.0:7070   [::1]:7070   127.0.0.1:0

A host is always named, so that nobody listens to the whole world by leaving it out. Port 0:
the kernel chooses one.
"""

import re

from osupervisor.config.errors import BadValueError, shown

ADDRESS_WANTED = '"host:port", such as "127.0.0.1:7070" or "[::1]:7070"'
PORT_MAX = 65_535
HOST_CHARS_MAX = 253
"""The longest name that DNS knows."""

_LABEL = "[A-Za-z0-9_-]{1,63}"
"""What no label is, no resolver takes: asyncio's raises what is no OSError for it."""
_ADDRESS = re.compile(rf"(?:\[([0-9a-fA-F:.]+)\]|({_LABEL}(?:\.{_LABEL})*\.?)):([0-9]{{1,5}})")


def parse_address(text: str) -> tuple[str, int]:
    """Host (an IPv6 address without its brackets) and port, 0 to PORT_MAX.

    Whether the host exists isn't asked. Raises BadValueError (without file and key).
    """
    match = _ADDRESS.fullmatch(text) if len(text) <= HOST_CHARS_MAX + 6 else None
    if match is None or int(match[3]) > PORT_MAX:
        raise BadValueError("", "", shown(text), ADDRESS_WANTED, _hint(text))
    return match[1] or match[2], int(match[3])


def address_text(host: str, port: int) -> str:
    """What `parse_address` reads as this host and port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hint(text: str) -> str:
    """For a port alone, what the author may choose from; else empty."""
    port = text.removeprefix(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        return ""
    return f'write "127.0.0.1:{port}" for this machine alone, "0.0.0.0:{port}" for all'
