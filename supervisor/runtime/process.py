"""The supervisor's process, from its inheritance to its exit code.

0    stopped        70   a fault of ours: heart starts the next one, and brains live on
78   refused: damage, a lock, settings; heart repeats the message and ends
74   the disk takes no writes, or the like, in a service that ran: heart tries again, with growing
     pauses. Where nothing ran before somebody waits for an answer, and it is a refusal.
"""

import asyncio
import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType

from osupervisor.config import resolved
from osupervisor.config.errors import SettingsError
from osupervisor.config.settings import Settings
from osupervisor.config.token_file import read_token
from osupervisor.supervisor.heart.launch import Inheritance, receive_inheritance
from osupervisor.supervisor.logs.echo import Echo
from osupervisor.supervisor.logs.writer import LogWriter
from osupervisor.supervisor.runtime import allocator, predecessor, recovery, scheduling
from osupervisor.supervisor.runtime.history import STORE_NAME, History, inherit
from osupervisor.supervisor.runtime.nursery_process import NurseryProcess
from osupervisor.supervisor.runtime.recovery import StartRefused
from osupervisor.supervisor.runtime.service import Service, TreeGaveUp
from osupervisor.vault_store.errors import VaultStoreError
from osupervisor.wal.errors import ReopenFailed, WalError
from osupervisor.wal.lock import DirectoryLock

EXIT_FAULT = 70
EXIT_TRY_AGAIN = 74
"""EX_IOERR."""
EXIT_REFUSED = 78
SWITCH_INTERVAL_S = 0.0005
"""The threads that watch for deaths need the GIL soon (OTP.md)."""
LOG_NAME = "supervisor.log"


def main(head_start: NurseryProcess | None) -> None:
    """Serve, and exit. The one argument is `--settings FILE`, as config.resolved dumped it.

    `head_start`: a nursery that imports the brain's code already.
    """
    allocator.set_bounds()
    path = Path(sys.argv[sys.argv.index("--settings") + 1])
    inheritance = receive_inheritance()
    history: History | None = None
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    scheduling.shorten_slices(0, scheduling.SUPERVISOR_SLICE_NS)
    try:
        history = _take_history(inheritance)
        settings = resolved.restore(path.read_bytes())
        sys.exit(_run(settings, inheritance, history, head_start))
    except (StartRefused, WalError, VaultStoreError, SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        if inheritance.predecessor is not None and isinstance(error, (ReopenFailed, OSError)):
            if history is not None:
                history.say(f"it could not start: {error}\n")
            inheritance.notify.status(f"can't start, and tries again: {error}")
            sys.exit(EXIT_TRY_AGAIN)
        inheritance.notify.refuse(str(error))
        sys.exit(EXIT_REFUSED)
    except TreeGaveUp as error:
        assert history is not None, "there is no tree without"
        text = f"the supervision tree gave up: {error}\n"
        history.say(text)
        sys.stderr.write(text)
        sys.exit(EXIT_FAULT)


def _take_history(inheritance: Inheritance) -> History:
    """What outlived the last supervisor; whatever ends this one leaves its last words there."""
    history = inherit(inheritance.stored, inheritance.predecessor)
    inheritance.notify.store(STORE_NAME, history.fd)
    history.listen()

    def last_words(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        history.say("".join(traceback.format_exception(kind, error, trace)))
        sys.__excepthook__(kind, error, trace)

    sys.excepthook = last_words
    return history


def _run(
    settings: Settings,
    inheritance: Inheritance,
    history: History,
    head_start: NurseryProcess | None,
) -> int:
    data = Path(settings.data)
    lock = DirectoryLock.acquire(data)
    try:
        token = read_token(Path(settings.listen.token_file)) if settings.listen.tcp else ""
        recovered = recovery.recover(data, settings)
        log = _log(settings, inheritance)
        loop = _new_loop()
        try:
            serving = _serve(
                settings, recovered, inheritance, loop, log, token, history, head_start
            )
            del recovered  # with the records that were written again: up to the log's last second
            return loop.run_until_complete(serving)
        finally:
            log.close()
            loop.close()
    finally:
        lock.release()


def _log(settings: Settings, inheritance: Inheritance) -> LogWriter:
    """In the foreground, log lines also go to stderr."""
    heart = inheritance.heart
    echo = Echo() if heart is None or heart.options.foreground else None
    return LogWriter(
        Path(settings.data) / "logs" / LOG_NAME,
        level=settings.logs.level,
        bytes_max=settings.logs.bytes_max,
        kept=settings.logs.kept,
        echo=echo,
    )


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
    log: LogWriter,
    token: str,
    history: History,
    head_start: NurseryProcess | None,
) -> int:
    _allow_many_files()
    log.flush_through(loop.call_soon)
    loop.set_exception_handler(lambda _, context: _fault(log, history, context))
    service = Service(
        settings,
        recovered,
        inheritance,
        loop,
        token=token,
        say=log.say,
        history=history,
        head_start=head_start,
    )
    path = Path(settings.data) / "logs" / LOG_NAME
    for dead, words in history.waiting:
        service.post_mortem.keep(predecessor.report(dead, words, path, recovered.fold))
    history.reported()
    del recovered
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.request_stop)
    try:
        await service.run()
    finally:
        log.flush_through(None)
    return EXIT_REFUSED if service.refused else 0


def _fault(log: LogWriter, history: History, context: dict[str, object]) -> None:
    """What a callback raised is a fault of ours, and the state behind it is not to be trusted:
    end. Everything that matters outlives this process, and the next one is there at once."""
    error = context.get("exception")
    text = (
        "".join(traceback.format_exception(error))
        if isinstance(error, BaseException)
        else str(context.get("message"))
    )
    log.put("error", "supervisor.fault", reason=str(context.get("message")), traceback=text)
    if "handle" in context:
        history.say(text)
        sys.stderr.write(text)
        log.flush()
        os._exit(EXIT_FAULT)


def _allow_many_files() -> None:
    """A descriptor for each connection and a few for each brain, as far as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
