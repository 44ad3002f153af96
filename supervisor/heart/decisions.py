"""What heart does about the life and death of its supervisor. Pure; the time is an argument.

| phase    | event                                | phase    | actions                           |
|----------|--------------------------------------|----------|-----------------------------------|
| -        | begin                                | starting | Start                             |
| -        | adopt                                | starting | -                                 |
| starting | READY=1                              | ready    | Tell                              |
| starting | no READY=1 in time                   | ending   | Send SIGABRT                      |
| starting | WATCHDOG=1, and then none in time    | ending   | Send SIGABRT                      |
| ready    | WATCHDOG=1                           | ready    | Tell                              |
| ready    | no WATCHDOG=1 in time, or `trigger`  | ending   | Send SIGABRT                      |
| ready    | a while later, spares wanted         | ready    | StartSpare                        |
| alive    | EXIT_STATUS=78                       | ending   | -                                 |
| alive    | STOPPING=1                           | ending   | Tell; its death is a stop         |
| alive    | SIGTERM, SIGINT, SIGQUIT             | ending   | Send SIGTERM                      |
| ending   | the same once more                   | ending   | Send SIGKILL                      |
| ending   | not dead in time                     | ending   | Send SIGKILL                      |
| alive    | death, while stopping                | ended    | Exit 0                            |
| alive    | death, after a refusal (78)          | ended    | Exit 1                            |
| alive    | death, first or after a healthy time | starting | Start                             |
| alive    | death, again                         | waiting  | -                                 |
| waiting  | the wait is over                     | starting | Start                             |
| waiting  | SIGTERM, SIGINT, SIGQUIT             | ended    | Exit 0                            |

Alive is starting, ready or ending. Rules: never two supervisors at once: a new one only after the
death of the old one has been seen. No number of deaths makes heart give up. Heart that was itself
late (stopped, starved) forgives a deadline once, for it can't tell who was late.
"""

import signal
from collections.abc import Mapping
from enum import Enum

from osupervisor.supervisor.heart.actions import Action, Exit, Say, Send, Start, StartSpare, Tell
from osupervisor.supervisor.heart.backoff import Backoff
from osupervisor.supervisor.heart.named_tuple import NamedTuple
from osupervisor.supervisor.heart.notification import REFUSED, number

ABORT_S = (
    0.5  # from SIGABRT, which leaves a traceback, to SIGKILL, which ends a stopped process too
)
LATE_S = 0.25  # heart woke so much after it wanted to: it was not running itself
SPARE_DELAY_S = 0.2  # after READY=1, so that the spare's imports don't slow the first answers
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
EXTENSION_S_MAX = 86_400.0  # one EXTEND_TIMEOUT_USEC grants a day at most


class Phase(Enum):
    """Where the supervisor stands."""

    STARTING = "starting"
    READY = "ready"
    ENDING = "ending"
    WAITING = "waiting"
    ENDED = "ended"


ALIVE = frozenset({Phase.STARTING, Phase.READY, Phase.ENDING})


class Limits(NamedTuple):
    """Times in seconds; 0 for ready_timeout_s and watchdog_s: no such limit."""

    ready_timeout_s: float = 600.0
    watchdog_s: float = 10.0
    shutdown_s: float = 30.0
    healthy_s: float = 1.0
    backoff: Backoff = Backoff()
    spare: bool = False


class Decisions:
    """The state machine of the table above; every method returns what is to be done now."""

    def __init__(self, limits: Limits) -> None:
        self.phase = Phase.WAITING
        self.status = ""  # the last STATUS of the living supervisor
        self._limits = limits
        self._deadline: float | None = None  # of the phase: ready, watchdog, kill, end of the wait
        self._beat_by: float | None = None  # of a start whose loop turns: before that it is busy
        self._ready_at: float | None = None
        self._forgiven = False
        self._stopping = False
        self._refused = False
        self._failures = 0
        self._spare_alive = False
        self._spare_at: float | None = None
        self._spare_failures = 0

    def begin(self, now: float) -> list[Action]:
        """The first start."""
        return self._start(now)

    def adopt(self, now: float) -> list[Action]:
        """A supervisor is there already and will say READY=1, if it hasn't yet."""
        self._enter_starting(now)
        return [Say("info", "took over a living supervisor")]

    def due(self) -> float | None:
        """When `tick` is wanted next; None: not before something happens."""
        times = (self._deadline, self._beat_by, self._spare_at)
        return min((time for time in times if time is not None), default=None)

    def told(self, now: float, fields: Mapping[str, str]) -> list[Action]:
        """The supervisor sent a notification; who it came from has been checked."""
        if self.phase not in ALIVE:
            return []
        actions: list[Action] = []
        if "STATUS" in fields:
            self.status = fields["STATUS"]
            actions.append(Tell({"STATUS": self.status}))
        if fields.get("EXIT_STATUS") == str(REFUSED):
            actions += self._refuse(now)
        if fields.get("STOPPING") == "1":
            actions += self._expect_stop(now)
        if fields.get("READY") == "1":
            actions += self._become_ready(now)
        if "WATCHDOG" in fields:
            actions += self._beat(now, fields["WATCHDOG"])
        if extension_us := number(fields.get("EXTEND_TIMEOUT_USEC")):
            self._extend(now, extension_us / 1e6)
        return actions

    def ended(self, now: float, status: int | None, jitter: float) -> list[Action]:
        """The supervisor is dead: exit status, minus the signal, or None where nobody knows."""
        assert self.phase in ALIVE, self.phase
        was_ready_at, self._ready_at = self._ready_at, None
        self._deadline = self._beat_by = None
        if self._stopping:
            return self._finish(Exit(0))
        if self._refused or status == REFUSED:
            return self._finish(Exit(1, self.status))
        if was_ready_at is not None and now - was_ready_at >= self._limits.healthy_s:
            self._failures = 0
        delay_s = self._limits.backoff.delay_s(self._failures, jitter)
        self._failures += 1
        what = f"the supervisor {cause(status)}; "
        if delay_s == 0.0:
            return [Say("warning", what + "starting it again"), *self._start(now)]
        self.phase = Phase.WAITING
        self._deadline = now + delay_s
        return [Say("warning", what + f"starting it again in {delay_s:.2f} s")]

    def signalled(self, now: float, signum: int) -> list[Action]:
        """Heart itself was sent a signal."""
        if signum == signal.SIGHUP and self.phase is Phase.READY:
            return [Send(signal.SIGHUP)]
        if signum not in STOP_SIGNALS or self.phase is Phase.ENDED:
            return []
        if self.phase is Phase.WAITING:
            return self._finish(Exit(0))
        if self._stopping:
            self._deadline = None
            return [Say("warning", "asked to stop again: killing"), Send(signal.SIGKILL)]
        self._stopping = True
        self._enter_ending(now + self._limits.shutdown_s)
        return [Say("info", "stopping"), Tell({"STOPPING": "1"}), Send(signal.SIGTERM)]

    def spare_ended(self, now: float) -> None:
        """The spare is dead, or could not be started; another is started later."""
        self._spare_alive = False
        self._spare_failures += 1
        if self.phase is Phase.READY:
            self._plan_spare(now)

    def tick(self, now: float) -> list[Action]:
        """Time has passed: whatever is due, with all messages read that had come by `now`."""
        actions: list[Action] = []
        if self._spare_at is not None and now >= self._spare_at:
            self._spare_at = None
            self._spare_alive = True
            actions.append(StartSpare())
        if self._beat_by is not None and now >= self._beat_by:
            return actions + self._miss_beat(now, now - self._beat_by)
        if self._deadline is None or now < self._deadline:
            return actions
        return actions + self._expire(now, now - self._deadline)

    def _miss_beat(self, now: float, late_s: float) -> list[Action]:
        """Of a supervisor that is starting."""
        if late_s > LATE_S and not self._forgiven:
            return self._forgive(now, late_s)
        return self._abort(now, self._no_sign_of_life())

    def _forgive(self, now: float, late_s: float) -> list[Action]:
        """Heart itself was late, so the supervisor may have been: all that is over begins anew."""
        self._forgiven = True
        if self._beat_by is not None:
            self._beat_by = now + self._limits.watchdog_s
        if self._deadline is not None and self._deadline <= now:
            self._deadline = now + self._phase_limit_s()
        return [Say("warning", f"heart itself was {late_s:.1f} s late")]

    def _no_sign_of_life(self) -> str:
        return f"the supervisor gave no sign of life for {self._limits.watchdog_s:g} s"

    def _expire(self, now: float, late_s: float) -> list[Action]:
        match self.phase:
            case Phase.WAITING:
                return self._start(now)
            case Phase.STARTING | Phase.READY if late_s > LATE_S and not self._forgiven:
                return self._forgive(now, late_s)
            case Phase.STARTING:
                limit_s = self._limits.ready_timeout_s
                return self._abort(now, f"the supervisor was not ready after {limit_s:g} s")
            case Phase.READY:
                return self._abort(now, self._no_sign_of_life())
            case Phase.ENDING:
                self._deadline = None
                return [Say("warning", "the supervisor doesn't end: killing"), Send(signal.SIGKILL)]
            case Phase.ENDED:
                return []

    def _phase_limit_s(self) -> float:
        starting = self.phase is Phase.STARTING
        return self._limits.ready_timeout_s if starting else self._limits.watchdog_s

    def _start(self, now: float) -> list[Action]:
        spare, self._spare_alive = self._spare_alive, False
        self._enter_starting(now)
        return [Start(spare)]

    def _enter_starting(self, now: float) -> None:
        self.phase = Phase.STARTING
        self.status = ""
        self._ready_at = None
        self._refused = False
        self._forgiven = False
        self._beat_by = self._spare_at = None
        limit_s = self._limits.ready_timeout_s
        self._deadline = now + limit_s if limit_s else None

    def _enter_ending(self, deadline: float) -> None:
        self.phase = Phase.ENDING
        self._deadline = deadline
        self._beat_by = self._spare_at = None

    def _become_ready(self, now: float) -> list[Action]:
        if self.phase is not Phase.STARTING:
            return []
        self.phase = Phase.READY
        self._ready_at, self._beat_by = now, None
        self._restart_watchdog(now)
        self._spare_failures = 0
        if not self._spare_alive:
            self._plan_spare(now)
        return [Say("info", "the supervisor is ready"), Tell({"READY": "1"})]

    def _plan_spare(self, now: float) -> None:
        if self._limits.spare:
            extra_s = self._limits.backoff.delay_s(self._spare_failures, 1.0)
            self._spare_at = now + SPARE_DELAY_S + extra_s

    def _restart_watchdog(self, now: float) -> None:
        self._forgiven = False
        limit_s = self._limits.watchdog_s
        self._deadline = now + limit_s if limit_s else None

    def _beat(self, now: float, value: str) -> list[Action]:
        if self.phase is Phase.READY and value == "trigger":
            return self._abort(now, "the supervisor asked to be killed")
        if self.phase is Phase.READY and value == "1":
            self._restart_watchdog(now)
        if self.phase is Phase.STARTING and value == "1" and self._limits.watchdog_s:
            self._forgiven = False
            self._beat_by = now + self._limits.watchdog_s
        return [Tell({"WATCHDOG": "1"})] if value == "1" else []

    def _extend(self, now: float, extension_s: float) -> None:
        may_wait = self.phase is Phase.STARTING or self._stopping
        if may_wait and self._deadline is not None:
            self._deadline = max(self._deadline, now + min(extension_s, EXTENSION_S_MAX))

    def _refuse(self, now: float) -> list[Action]:
        self._refused = True
        if self.phase is not Phase.ENDING:
            self._enter_ending(now + self._limits.shutdown_s)
        return []

    def _expect_stop(self, now: float) -> list[Action]:
        if self._stopping:
            return []
        self._stopping = True
        self._enter_ending(now + self._limits.shutdown_s)
        return [Say("info", "the supervisor stops"), Tell({"STOPPING": "1"})]

    def _abort(self, now: float, reason: str) -> list[Action]:
        self._enter_ending(now + ABORT_S)
        return [Say("error", reason + ": killing it"), Send(signal.SIGABRT)]

    def _finish(self, exit_action: Exit) -> list[Action]:
        self.phase = Phase.ENDED
        self._deadline = self._beat_by = self._spare_at = None
        return [exit_action]


def cause(status: int | None) -> str:
    """How a process ended, in words."""
    if status is None:
        return "ended"
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
