"""The loop: poll, read, ask the decisions, carry out. Signals, messages and deaths in one thread.

Rules: before a death is told to the decisions, all that the dead one sent has been read, so that
what it stored just before is not lost. A message counts only when the kernel says that it came
from the supervisor's process. Deaths are learnt from pidfds and from waitpid, never from a pid
that could be another's by now.
"""

import os
import select
import time
from collections.abc import Iterable, Mapping

from osupervisor.supervisor.heart import descriptor_name
from osupervisor.supervisor.heart.actions import Action, Exit, Say, Send, Start, StartSpare, Tell
from osupervisor.supervisor.heart.backoff import Backoff
from osupervisor.supervisor.heart.command import HEART_ARGUMENTS, PREDECESSOR
from osupervisor.supervisor.heart.decisions import Decisions, Limits
from osupervisor.supervisor.heart.descriptor_store import StoreFullError, close_all
from osupervisor.supervisor.heart.holdings import Holdings
from osupervisor.supervisor.heart.inbox import Datagram, receive
from osupervisor.supervisor.heart.journal import Journal
from osupervisor.supervisor.heart.leftovers import kill_children, kill_stored
from osupervisor.supervisor.heart.notification import REFUSED, number, parse
from osupervisor.supervisor.heart.options import SEPARATOR, Options
from osupervisor.supervisor.heart.pidfd_info import exit_status
from osupervisor.supervisor.heart.process import Process, reap, spawn
from osupervisor.supervisor.heart.signal_queue import SignalQueue
from osupervisor.supervisor.heart.spare import Spare
from osupervisor.supervisor.heart.upstream import Upstream

DATAGRAMS_PER_ROUND = 1000  # a flood of messages must not keep heart from anything else


class Heart:
    """One service's heart; `run` returns the exit status."""

    def __init__(
        self,
        options: Options,
        holdings: Holdings,
        journal: Journal,
        upstream: Upstream,
        signals: SignalQueue,
    ) -> None:
        self._options = options
        self._holdings = holdings
        self._journal = journal
        self._upstream = upstream
        self._decisions = Decisions(_limits(options))
        self._signals = signals
        self._poll = select.poll()
        self._poll.register(self._signals.fd, select.POLLIN)
        self._poll.register(holdings.inbox, select.POLLIN)
        self._supervisor: Process | None = None
        self._spare: Spare | None = None
        self._predecessor = ""  # pid and exit status of the last supervisor, for the next one
        self._exit: Exit | None = None

    def run(self) -> int:
        """Serve until the service is stopped or refused."""
        now = time.monotonic()
        if self._options.adopt:
            self._watch(Process(self._options.adopt, self._holdings.supervisor_pidfd))
            self._do(self._decisions.adopt(now))
        else:
            self._do(self._decisions.begin(now))
        while self._exit is None:
            self._turn()
        return self._finish(self._exit)

    def _turn(self) -> None:
        self._poll.poll(self._timeout_ms())
        self._read_messages()
        for signum in self._signals.read():
            self._do(self._decisions.signalled(time.monotonic(), signum))
        self._bury()
        now = time.monotonic()
        if self._exit is None:
            self._do(self._decisions.tick(now))
        self._upstream.beat(now)

    def _timeout_ms(self) -> int | None:
        times = (self._decisions.due(), self._upstream.due())
        due = min((time for time in times if time is not None), default=None)
        if due is None:
            return None
        return max(0, int((due - time.monotonic()) * 1000) + 1)

    def _read_messages(self) -> None:
        for _ in range(DATAGRAMS_PER_ROUND):
            datagram = receive(self._holdings.inbox)
            if datagram is None:
                return
            if self._supervisor is None or datagram.pid != self._supervisor.pid:
                close_all(datagram.fds)
                continue
            fields = parse(datagram.content)
            self._keep(fields, datagram)
            self._follow(fields)
            self._do(self._decisions.told(time.monotonic(), fields))

    def _keep(self, fields: Mapping[str, str], datagram: Datagram) -> None:
        """FDSTORE and FDSTOREREMOVE; any other descriptor is closed (that answers a BARRIER)."""
        store, name = self._holdings.store, fields.get("FDNAME", descriptor_name.UNNAMED)
        if fields.get("FDSTOREREMOVE") == "1":
            store.remove(name)
        if fields.get("FDSTORE") != "1" or not datagram.fds:
            close_all(datagram.fds)
        elif not descriptor_name.is_store_name(name):
            close_all(datagram.fds)
            self._journal.say("warning", f"nothing may be stored under the name {name[:80]!r}")
        else:
            try:
                store.put(name, datagram.fds)
            except StoreFullError as error:
                self._journal.say("error", str(error))

    def _follow(self, fields: Mapping[str, str]) -> None:
        """MAINPID: the supervisor says that another process is the supervisor now."""
        pid = number(fields.get("MAINPID"))
        if not pid or self._supervisor is None or pid == self._supervisor.pid:
            return
        try:
            process = Process(pid)
        except (OSError, OverflowError):
            self._journal.say("warning", f"MAINPID={pid}: there is no such process")
            return
        self._forget()
        self._watch(process)

    def _bury(self) -> None:
        """See who has ended; what the supervisor had sent is read before its death is told."""
        supervisor = self._supervisor
        dead = supervisor is not None and supervisor.is_dead()
        ended = reap()
        if self._spare is not None and self._spare.process.pid in ended:
            self._drop_spare()
            self._decisions.spare_ended(time.monotonic())
        if supervisor is not None and (dead or supervisor.pid in ended):
            status = ended.get(supervisor.pid)
            if status is None:
                status = exit_status(supervisor.pidfd)
            self._read_messages()
            if self._supervisor is supervisor:  # else its last message was MAINPID
                self._forget()
                self._predecessor = f"{supervisor.pid} {'-' if status is None else status}"
                self._do(self._decisions.ended(time.monotonic(), status, _jitter()))

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Start():
                    self._start(action.spare)
                case StartSpare():
                    self._start_spare()
                case Send():
                    if self._supervisor is not None:
                        self._supervisor.send(action.signum)
                case Tell():
                    self._upstream.tell(action.fields)
                case Say():
                    self._journal.say(action.level, action.message)
                case Exit():
                    self._exit = action
                case _:
                    raise AssertionError(action)

    def _start(self, spare: bool) -> None:
        try:
            process = self._wake_spare() if spare else None
            self._watch(process or self._spawn_supervisor())
        except OSError as error:
            self._journal.say("error", f"cannot start a supervisor: {error.strerror}")
            self._do(self._decisions.ended(time.monotonic(), None, _jitter()))

    def _wake_spare(self) -> Process | None:
        """None: there is no spare after all."""
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        try:
            return spare.wake(self._holdings.descriptors(), self._predecessor)
        except OSError:
            spare.close()
            return None

    def _spawn_supervisor(self) -> Process:
        if not self._options.foreground:
            self._journal.rotate()
        self._journal.mark()
        descriptors = self._holdings.descriptors()
        environ = self._environment()
        if self._predecessor:
            environ[PREDECESSOR] = self._predecessor
        environ["LISTEN_FDS"] = str(len(descriptors))
        environ["LISTEN_FDNAMES"] = descriptor_name.join(name for name, _ in descriptors)
        return spawn(self._options.command, environ, [fd for _, fd in descriptors])

    def _start_spare(self) -> None:
        try:
            self._spare = Spare(self._options.command, self._environment())
        except OSError as error:
            self._journal.say("warning", f"cannot start a spare: {error.strerror}")
            self._decisions.spare_ended(time.monotonic())

    def _environment(self) -> dict[str, str]:
        environ = dict(os.environ)
        environ["NOTIFY_SOCKET"] = self._holdings.notify_address()
        environ[HEART_ARGUMENTS] = SEPARATOR.join(self._options._replace(adopt=0).arguments())
        if self._options.watchdog_s:
            environ["WATCHDOG_USEC"] = str(int(self._options.watchdog_s * 1e6))
        return environ

    def _watch(self, process: Process) -> None:
        self._supervisor = process
        self._poll.register(process.pidfd, select.POLLIN)

    def _forget(self) -> None:
        if self._supervisor is not None:
            self._poll.unregister(self._supervisor.pidfd)
            self._supervisor.close()
            self._supervisor = None

    def _drop_spare(self) -> None:
        if self._spare is not None:
            self._spare.close()
            self._spare = None

    def _finish(self, exit_action: Exit) -> int:
        """The end of the service: no more connections, nothing left alive."""
        self._holdings.stop_listening()
        self._drop_spare()
        kill_stored(self._holdings.store.items())
        kill_children()
        if exit_action.status == 0:
            self._journal.say("info", "stopped")
        else:
            reason = exit_action.refusal or self._journal.last_words() or "it gave no reason"
            self._journal.say("error", f"the supervisor refused to start: {reason}")
            self._upstream.tell({"STATUS": reason, "EXIT_STATUS": str(REFUSED)})
        self._upstream.close()
        self._holdings.close()
        return exit_action.status


def _limits(options: Options) -> Limits:
    """The options that the decisions need."""
    return Limits(
        ready_timeout_s=options.ready_timeout_s,
        watchdog_s=options.watchdog_s,
        shutdown_s=options.shutdown_s,
        healthy_s=options.healthy_s,
        backoff=Backoff(options.backoff_initial_s, options.backoff_max_s),
        spare=options.spare,
    )


def _jitter() -> float:
    """A random number in [0, 1); `random` costs 1 MB."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
