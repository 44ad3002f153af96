"""The supervisor's process, from its inheritance to its exit code."""

import asyncio
import signal
import sys
from pathlib import Path

from osupervisor.config import resolved
from osupervisor.config.settings import Settings
from osupervisor.supervisor.heart.launch import Inheritance, receive_inheritance
from osupervisor.supervisor.runtime import recovery
from osupervisor.supervisor.runtime.recovery import StartRefused
from osupervisor.supervisor.runtime.service import Service
from osupervisor.wal.errors import WalError
from osupervisor.wal.lock import DirectoryLock

EXIT_REFUSED = 78
SWITCH_INTERVAL_S = 0.0005
"""The threads that watch for deaths need the GIL soon (OTP.md)."""


def main() -> None:
    path = Path(sys.argv[sys.argv.index("--settings") + 1])
    inheritance = receive_inheritance()
    settings = resolved.restore(path.read_bytes())
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        sys.exit(_run(settings, inheritance))
    except (StartRefused, WalError, OSError) as error:
        inheritance.notify.refuse(str(error))
        sys.stderr.write(f"{error}\n")
        sys.exit(EXIT_REFUSED)


def _run(settings: Settings, inheritance: Inheritance) -> int:
    data = Path(settings.data)
    lock = DirectoryLock.acquire(data)
    try:
        recovered = recovery.recover(data, settings)
        loop = _new_loop()
        try:
            return loop.run_until_complete(_serve(settings, recovered, inheritance, loop))
        finally:
            loop.close()
    finally:
        lock.release()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(
    settings: Settings,
    recovered: recovery.Recovered,
    inheritance: Inheritance,
    loop: asyncio.AbstractEventLoop,
) -> int:
    def say(level: str, event: str, /, **fields: object) -> None:
        sys.stderr.write(f"{level} {event} {fields}\n")

    service = Service(
        settings,
        recovered,
        inheritance,
        loop,
        token="",
        say=say,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.request_stop)
    await service.run()
    return EXIT_REFUSED if service.refused else 0
