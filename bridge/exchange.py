"""A client's side of the conversation, without sockets, clock or threads. Pure.

Both clients drive it the same way: they tell it what they connected, lost, read and when, and it
says what to write, what has been answered, and when to come back.

    state       entered by                     left by
    ---------   ----------------------------   ----------------------------------------------
    down        start, `lost`, `refused`       `connected`
    greeting    `connected`, with a token      the answer to kernel.hello: up, or all fail
    up          `connected`, without a token   `lost`, or nonsense from the service

Entering `up` sends every unanswered request again, in order, each in the very bytes of its first
sending: the service knows a call by its key and gives the first answer a second time. So each
request has exactly one outcome:

* its answer, if that is final;
* after `Overloaded`, `ReadOnly`, `Unavailable` it is sent again under the same key, after a pause
  that doubles, until its deadline, then it fails with that error;
* at its deadline, never sent: `NotRunningError`; sent: `Timeout`, after a grace in which a
  `Timeout` of the service itself, which knows more, may arrive;
* a request that must not be repeated and whose connection broke: `Unavailable`.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, TypeVar

from osupervisor.bridge.call_encoder import CallEncoder, CallOptions
from osupervisor.bridge.errors import (
    RETRYABLE,
    BridgeError,
    FrameTooLargeError,
    NotRunningError,
    RemoteProtocolError,
    Timeout,
    Unavailable,
    from_map,
)
from osupervisor.bridge.frames import HEADER_SIZE, FrameDecoder
from osupervisor.bridge.identity import RENEW_S, Identity
from osupervisor.bridge.messages import RESPONSE, Notification, Response, parse, request
from osupervisor.bridge.methods import BRAIN_CALL, KERNEL_HELLO, METHODS, PROTOCOL_VERSION
from osupervisor.bridge.packing import DECODE_ERRORS, unpack
from osupervisor.bridge.pending import Pending
from osupervisor.bridge.session import ERROR

DEADLINE_S: Final = 90.0
"""A request without a timeout of its own: what the service's defaults let it wait and run."""
GRACE_S: Final = 1.0
"""How long after its deadline a request that was sent is still waited for."""
CONNECT_TIMEOUT_S: Final = 5.0
"""How long a first connection is tried: a service that is being started takes a second or two."""
CONNECT_PAUSE_S: Final = (0.005, 0.5)
"""First and longest pause between two tries to connect."""
RETRY_PAUSE_S: Final = (0.01, 1.0)
"""First and longest pause before a request is sent again that the service refused for now."""
_NEVER: Final = float("inf")
_NO_ANSWER: Final[tuple[type[Exception], ...]] = (*DECODE_ERRORS, KeyError)
_HELLO_ID: Final = 0
"""Requests count from 1."""

P = TypeVar("P", bound=Pending)


class State(Enum):
    """Of the connection."""

    DOWN = "down"
    GREETING = "greeting"
    UP = "up"


_UP: Final = State.UP  # An enum's member costs a search each time.


class Exchange(Generic[P]):
    """One client's requests and connection. Not for several threads at once.

    `make` builds what the client hands out for a request. `jitter` gives numbers in [0, 1).
    """

    def __init__(
        self,
        make: Callable[[int, bytes, float], P],
        jitter: Callable[[], float],
        *,
        token: str | None = None,
        retries: bool = True,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        identity: Identity | None = None,
    ) -> None:
        self.state = State.DOWN
        self.out: list[bytes] = []
        """Frames to write, in order. The shell empties it."""
        self.connect_at = 0.0
        """While down: not to be tried before."""
        self.identity = identity or Identity()
        self._encoder = CallEncoder(self.identity.client)
        self._make = make
        self._jitter = jitter
        self._token = token
        self._retries = retries
        self._connect_timeout_s = connect_timeout_s
        self._decoder = FrameDecoder()
        self._pending: dict[int, P] = {}
        """By number, in order of the first sending; what was refused for now, in order of that."""
        self._unsent: set[int] = set()
        """Numbers that no connection was up for yet."""
        self._once: set[int] = set()
        """Numbers of requests that must not be sent a second time."""
        self._attempts: dict[int, int] = {}
        self._delayed: dict[int, float] = {}
        """Refused for now: number -> when to send it again."""
        self._check_at = _NEVER
        """No request expires before."""
        self._tries = 0
        """Connections tried since the service last said something."""
        self._give_up_at: float | None = None
        """Of the first connection; None: not tried yet, or it has been there."""
        self._ever_up = False
        self._renew_at = 0.0
        self._clock_offset_us = 0

    @property
    def count(self) -> int:
        """Requests without an outcome."""
        return len(self._pending)

    def holds(self, pending: Pending) -> bool:
        """Whether an outcome of it is still to come."""
        return self._pending.get(pending.number) is pending

    def oldest(self) -> P:
        """The request that has waited longest. Only when there is one."""
        return next(iter(self._pending.values()))

    def call(
        self,
        op: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        now: float,
        options: CallOptions | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> P:
        """A new call. Raises LocalProtocolError, and then nothing was done."""
        identity = self.identity
        if now >= self._renew_at:
            self._renew(now)
        number = identity.next_number
        if options is None:
            frame = self._encoder.frame(op, args, kwargs, number, identity.seen)
        else:
            frame = self._encoder.frame_with(op, args, kwargs, number, identity.seen, options)
            deadline_s = options.timeout_s or deadline_s
        identity.next_number = number + 1
        return self._begin(number, frame, now + deadline_s)

    def _renew(self, now: float) -> None:
        """Take the name of new calls from now on. What is under way keeps the one it was sent
        with: its bytes are never changed."""
        if self._renew_at:
            self.identity.rename(self._clock_offset_us)
            self._encoder = CallEncoder(self.identity.client)
        self._renew_at = now + RENEW_S

    def request(self, method: str, params: list[object], now: float, deadline_s: float) -> P:
        """A new request of another method. Raises LocalProtocolError."""
        frame = request(self.identity.next_number, method, params)
        number = self.identity.take()
        known = METHODS.get(method)
        if known is not None and not known.repeatable:
            self._once.add(number)
        return self._begin(number, frame, now + deadline_s)

    def _begin(self, number: int, frame: bytes, deadline_s: float) -> P:
        pending = self._pending[number] = self._make(number, frame, deadline_s)
        if self.state is _UP:
            self.out.append(frame)
        else:
            self._unsent.add(number)
        if deadline_s < self._check_at:
            self._check_at = deadline_s
        return pending

    def abandon(self, pending: P) -> None:
        """Nobody waits for it any more; its answer will be dropped."""
        if self._pending.get(pending.number) is pending:
            self._forget(pending.number)

    def connected(self) -> None:
        """A connection is there. `out` holds what to write to it."""
        self._decoder = FrameDecoder()
        self._give_up_at = None
        self._ever_up = True
        self.out.clear()
        if self._token is None:
            self._go_up()
            return
        self.state = State.GREETING
        introduction = {"token": self._token, "protocol": PROTOCOL_VERSION}
        self.out.append(request(_HELLO_ID, KERNEL_HELLO, [introduction]))

    def _go_up(self) -> None:
        self.state = State.UP
        self._unsent.clear()
        delayed = self._delayed
        self.out.extend(
            pending.frame for number, pending in self._pending.items() if number not in delayed
        )

    def lost(self, now: float) -> list[P]:
        """The connection ended. Gives the requests that failed with it.

        The first new try may be made at once if the service had said something on this one.
        """
        self._go_down()
        self.connect_at = now + self._pause(self._tries - 1, CONNECT_PAUSE_S)
        self._tries += 1
        error = "the connection broke before the answer, and it may have been done"
        hint = "look whether it was, then ask again"
        return [
            self._fail(number, Unavailable(error, hint))
            for number in self._once - self._unsent - self._delayed.keys()
        ]

    def refused(self, now: float, cause: Exception) -> list[P]:
        """A try to connect failed. Gives the requests that failed with it."""
        self._go_down()
        if self._give_up_at is None and not self._ever_up:
            self._give_up_at = now + self._connect_timeout_s
        self.connect_at = now + self._pause(self._tries, CONNECT_PAUSE_S)
        self._tries += 1
        if self._give_up_at is None or now < self._give_up_at:
            return []
        self._give_up_at = None
        return self.fail_all(lambda: not_running(cause))

    def _go_down(self) -> None:
        self.state = State.DOWN
        self.out.clear()

    def fail_all(self, error: Callable[[], BridgeError]) -> list[P]:
        """Every request without an outcome, failed now."""
        return [self._fail(number, error()) for number in list(self._pending)]

    def receive(self, data: bytes, now: float) -> list[P]:
        """What was read. Gives the requests with a waiter that have an outcome now.

        Where it can't be understood all requests fail with RemoteProtocolError and the state is
        `down`: the connection is of no more use, close it.
        """
        self._tries = 0
        woken: list[P] = []
        fault: RemoteProtocolError | None = None
        try:
            bodies = self._decoder.feed(data)
        except FrameTooLargeError as error:
            bodies, fault = list(error.frames), error
        try:
            self._receive_all(bodies, now, woken)
        except RemoteProtocolError as error:
            fault = error
        if fault is not None:
            woken += self._break_off(fault, now)
        return woken

    def _receive_all(self, bodies: list[bytes], now: float, woken: list[P]) -> None:
        pendings = self._pending
        settle = self.identity.settle
        for body in bodies:
            try:
                kind, number, error, value = unpack(body)
                pending = pendings[number]
            except _NO_ANSWER:
                self._receive_other(body, woken)
                continue
            if error is not None or kind != RESPONSE:
                self._receive_error(body, now, woken)
                continue
            del pendings[number]
            settle(number)
            pending.value = value
            pending.frame = b""  # Whoever keeps a million replies doesn't keep their requests.
            if pending.waiter is not None:
                woken.append(pending)
        if self._attempts or self._once:
            self._attempts = {n: a for n, a in self._attempts.items() if n in pendings}
            self._once &= pendings.keys()

    def _break_off(self, fault: RemoteProtocolError, now: float) -> list[P]:
        self._go_down()
        self.connect_at = now + self._pause(0, CONNECT_PAUSE_S)
        return self.fail_all(lambda: fault)

    def _receive_error(self, body: bytes, now: float, woken: list[P]) -> None:
        message = parse(body)
        if not isinstance(message, Response):
            raise RemoteProtocolError("the service sent a request", "is it another program?")
        error = from_map(message.error)
        if error.code in RETRYABLE and self._retries and self._delay(message.id, now):
            return
        woken.append(self._fail(message.id, error))

    def _delay(self, number: int, now: float) -> bool:
        """Whether there is time to send it again; then it will be."""
        attempt = self._attempts.get(number, 0)
        again_at = now + self._pause(attempt, RETRY_PAUSE_S)
        if again_at >= self._pending[number].deadline_s:
            return False
        self._attempts[number] = attempt + 1
        self._delayed[number] = again_at
        return True

    def _receive_other(self, body: bytes, woken: list[P]) -> None:
        """A message that answers nothing we wait for: late, about the connection, or nonsense."""
        message = parse(body)
        if isinstance(message, Response):
            if message.id == _HELLO_ID:
                self._greeted(message, woken)
        elif isinstance(message, Notification):
            if message.method == ERROR:
                error = from_map(message.params[0] if message.params else None)
                woken.extend(self.fail_all(lambda: error))
        else:
            raise RemoteProtocolError("the service sent a request", "is it another program?")

    def _greeted(self, hello: Response, woken: list[P]) -> None:
        if hello.error is None:
            if self.state is State.GREETING:
                self._go_up()
        else:  # Also of a service that answers with id 0 what it can't read an id of.
            error = from_map(hello.error)
            woken.extend(self.fail_all(lambda: error))

    def next_at(self, *, connecting: bool = False) -> float:
        """When `tick` has something to do, or, while down, a new try to connect is due (not so
        while the shell is `connecting`). Infinity: only when something comes from outside."""
        at = min(self._delayed.values(), default=_NEVER) if self._delayed else _NEVER
        if self.state is State.DOWN and self._pending and not connecting:
            at = min(at, self.connect_at)
        return min(at, self._check_at)

    def tick(self, now: float) -> list[P]:
        """Time has passed. Gives the requests that expired."""
        if self._delayed:
            self._send_delayed(now)
        if now < self._check_at:
            return []
        expired: list[P] = []
        self._check_at = _NEVER
        for number, pending in list(self._pending.items()):
            sent = number not in self._unsent
            expires_at = pending.deadline_s + (GRACE_S if sent else 0.0)
            if now >= expires_at:
                expired.append(self._fail(number, _expired(pending.frame, sent)))
            else:
                self._check_at = min(self._check_at, expires_at)
        return expired

    def _send_delayed(self, now: float) -> None:
        due = [number for number, at in self._delayed.items() if at <= now]
        for number in due:
            del self._delayed[number]
            if self.state is State.UP:
                self.out.append(self._pending[number].frame)

    def _fail(self, number: int, error: BridgeError) -> P:
        pending = self._forget(number)
        pending.fail(error)
        return pending

    def _forget(self, number: int) -> P:
        pending = self._pending.pop(number)
        self.identity.settle(number)
        self._unsent.discard(number)
        self._once.discard(number)
        self._attempts.pop(number, None)
        self._delayed.pop(number, None)
        return pending

    def _pause(self, attempt: int, bounds: tuple[float, float]) -> float:
        """Doubles with every attempt, from the first (0) on; a random half of it is taken off, so
        that clients which were refused together don't come back together. Below 0: no pause."""
        first, longest = bounds
        if attempt < 0:
            return 0.0
        return min(longest, first * 2.0 ** min(attempt, 30)) * (0.5 + self._jitter() / 2)


def not_running(cause: Exception) -> NotRunningError:
    """The error for a service that can't be reached."""
    return NotRunningError(f"no service answers there: {cause}", "start it with: osupervisor start")


def _expired(frame: bytes, sent: bool) -> BridgeError:
    name = _name(frame)
    if not sent:
        return NotRunningError(
            f"{name} was not sent: there was no connection until its deadline",
            "osupervisor status tells whether the service runs",
        )
    return Timeout(
        f"{name} was not answered until its deadline",
        "it may still be executed: call with a key of your own, and the same key finds out",
        {"where": "client"},
    )


def _name(frame: bytes) -> str:
    message: list[Any] = unpack(frame[HEADER_SIZE:])
    method: str = message[2]
    return f"{message[3][0]}()" if method == BRAIN_CALL else method
