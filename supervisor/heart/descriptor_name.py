"""Names of descriptors that are handed from process to process. Pure.

LISTEN_FDNAMES joins them with colons, and a spare gets them inside JSON, so a name is printable
ASCII without a colon, a quote or a backslash, of at most 255 characters (systemd's bound).

    osupervisor.sock, tcp     heart's own listening sockets
    heart.pidfd               heart itself, for whoever watches it
    supervisor.pidfd, notify  only from a supervisor to the heart that it revives
    brain.<id>.<what>         stored by the supervisor; at its end heart kills what `*.pidfd` is
"""

from collections.abc import Iterable

NAME_LENGTH_MAX = 255
UNNAMED = "unknown"  # systemd's word for a descriptor without a name

UNIX_LISTENER = "osupervisor.sock"
TCP_LISTENER = "tcp"
HEART_PIDFD = "heart.pidfd"
SUPERVISOR_PIDFD = "supervisor.pidfd"
NOTIFY = "notify"
PIDFD_SUFFIX = ".pidfd"
RESERVED = frozenset({UNIX_LISTENER, TCP_LISTENER, HEART_PIDFD, SUPERVISOR_PIDFD, NOTIFY})


def is_name(name: str) -> bool:
    """Whether a descriptor may be called so."""
    return (
        0 < len(name) <= NAME_LENGTH_MAX
        and name.isascii()
        and name.isprintable()
        and not set(name) & set(':"\\')
    )


def is_store_name(name: str) -> bool:
    """Whether a supervisor may store something under this name: heart's own are not to be had."""
    return is_name(name) and name not in RESERVED


def join(names: Iterable[str]) -> str:
    """LISTEN_FDNAMES for these names, in order."""
    joined = list(names)
    assert all(map(is_name, joined)), joined
    return ":".join(joined)


def split(text: str, count: int) -> list[str]:
    """The names of `count` descriptors; those that LISTEN_FDNAMES doesn't name are UNNAMED."""
    names = text.split(":") if text else []
    return (names + [UNNAMED] * count)[:count]


def as_json(names: Iterable[str], predecessor: str) -> bytes:
    """{"listen_fdnames": [...], "predecessor": ""}: by hand, as `json` costs heart 1 MB."""
    joined = list(names)
    assert all(map(is_name, joined)), joined
    listed = ",".join(f'"{name}"' for name in joined)
    return f'{{"listen_fdnames":[{listed}],"predecessor":"{predecessor}"}}'.encode()
