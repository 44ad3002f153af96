"""One message on the notify socket, as systemd defines it (sd_notify(3)). Pure.

    READY=1 | STATUS=text | STOPPING=1 | WATCHDOG=1 | WATCHDOG=trigger | MAINPID=n
    EXTEND_TIMEOUT_USEC=n | EXIT_STATUS=n | ERRNO=n | BARRIER=1
    FDSTORE=1 with FDNAME=name and descriptors | FDSTOREREMOVE=1 with FDNAME=name

A datagram holds assignments, one a line; the last of a name counts. What isn't an assignment, and
names nobody knows, are passed over, as systemd does. EXIT_STATUS is ours towards heart: the
exit status that a process is about to end with, for a heart that is not its parent.
"""

from collections.abc import Mapping

DATAGRAM_BYTES_MAX = 4096  # systemd's own bound
STATUS_BYTES_MAX = 2048  # leaves room for the other assignments of the same datagram
REFUSED = 78  # EX_CONFIG of sysexits.h: this supervisor must not be started again


def parse(datagram: bytes) -> dict[str, str]:
    """The assignments of a datagram; bytes that aren't UTF-8 are replaced, never refused."""
    fields: dict[str, str] = {}
    for line in datagram.decode("utf-8", "replace").split("\n"):
        name, separator, value = line.partition("=")
        if separator and name:
            fields[name] = value
    return fields


def render(fields: Mapping[str, str]) -> bytes:
    """The datagram that `parse` reads back, its values made single lines and cut to fit."""
    lines = [f"{name}={single_line(value)}" for name, value in fields.items()]
    datagram = "\n".join(lines).encode()
    assert len(datagram) <= DATAGRAM_BYTES_MAX, "too many fields for one datagram"
    return datagram


def single_line(text: str) -> str:
    """The text without line ends and NUL, at most STATUS_BYTES_MAX bytes of UTF-8."""
    flat = " ".join(part.strip() for part in text.replace("\0", " ").splitlines())
    return flat.encode("utf-8", "replace")[:STATUS_BYTES_MAX].decode("utf-8", "ignore")


def number(value: str | None) -> int | None:
    """A decimal number of at most 18 digits, else None: what a peer sends may be anything."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
        return None
    return int(value)
