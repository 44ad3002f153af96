"""What is there of this service already: its socket, its ports, what an earlier one left."""

import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from osupervisor.supervisor.doctor.finding import Finding, Level, judged
from osupervisor.supervisor.heart import pid_file
from osupervisor.supervisor.heart.descriptor_name import UNIX_LISTENER
from osupervisor.supervisor.heart.errors import AddressError
from osupervisor.supervisor.heart.listeners import listen_tcp, somebody_listens
from osupervisor.supervisor.heart.run_folder import SUN_PATH_BYTES_MAX

LEFT_BEHIND = ("wal/*.torn", "wal/*.broken", "checkpoints/*.tmp")
NAMED_MAX = 5
TCP, METRICS = "listen.tcp", "metrics.http"
IF_TAKEN = {
    TCP: "The start is refused.",
    METRICS: "The service starts, complains, and listens there as soon as it can.",
}


def examine(data: Path, addresses: Mapping[str, str]) -> Iterator[Finding]:
    """Socket path, running or left over, addresses of the settings TCP and METRICS."""
    heart = pid_file.holder(str(data)) if data.is_dir() else None
    yield _socket_path(data)
    yield _running(data, heart)
    yield _files(data)
    for setting, address in addresses.items():
        yield _address(setting, address, heart is not None)


def _socket_path(data: Path) -> Finding:
    path = data / "run" / UNIX_LISTENER
    length = len(os.fsencode(path))
    return judged(
        "socket_path",
        length <= SUN_PATH_BYTES_MAX,
        f"{length} bytes",
        f"{SUN_PATH_BYTES_MAX} bytes at most",
        f"{path} is too long for a Unix socket; it is reached through /proc/self/fd, which "
        "the library does by itself. Other programs need a shorter --data.",
    )


def _running(data: Path, heart: int | None) -> Finding:
    wanted = "one running service, or none and nothing of it"
    if heart is not None:
        return Finding("service", "ok", f"running, heart is {pid_file.spoken(heart)}", wanted)
    path = data / "run" / UNIX_LISTENER
    if not path.exists():
        return Finding("service", "ok", "not running", wanted)
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        answers = somebody_listens(f"/proc/self/fd/{folder}/{UNIX_LISTENER}")
    finally:
        os.close(folder)
    if answers:
        follows = "A start is refused until that process has ended: find it by `ss -xlp`."
        return Finding("service", "bad", "a socket that answers, without a heart", wanted, follows)
    follows = "The service was killed, or the machine. The next start recovers and cleans up."
    return Finding("service", "warn", "the socket of a dead service", wanted, follows)


def _files(data: Path) -> Finding:
    left = sorted(str(f.relative_to(data)) for pattern in LEFT_BEHIND for f in data.glob(pattern))
    return judged(
        "leftovers",
        not left,
        _listed(left) or "none",
        "none",
        "Kept from an earlier repair or recovery, and not read. Look at them, then remove them.",
    )


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - NAMED_MAX} more" if len(shown) > NAMED_MAX else ""
    return ", ".join(shown[:NAMED_MAX]) + more


def _address(setting: str, address: str, running: bool) -> Finding:
    try:
        listener: socket.socket = listen_tcp(address, 1)
    except AddressError as error:
        if running:
            return Finding("address", "ok", f"{address} is in use, this service runs", "free")
        follows = f"{IF_TAKEN[setting]} Stop what uses it, or change the setting {setting}."
        cannot = f"{setting} can't listen on {address}: {error.reason}"
        level: Level = "bad" if setting == TCP else "warn"
        return Finding("address", level, cannot, f"{address} is free", follows)
    listener.close()
    return Finding("address", "ok", f"{address} is free", "free")
