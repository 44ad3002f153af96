"""A client's side of the conversation, without sockets, clock or threads. Pure.

Both clients drive it the same way: they tell it what they connected, lost, read and when, and it
says what to write, what has been answered, and when to come back.

    state       entered by             left by
    ---------   --------------------   -------------------------------------------------------
    down        start                  `connected`
    greeting    `connected`            the answer to kernel.hello: up, or all requests fail
    up          the service's answer   `lost`, or nonsense from the service: down

The greeting shows the token, where there is one, and tells the service's time, which names are
made of (`identity`). Entering `up` sends every unanswered request again, in order, each in the
very bytes of its first sending: the service knows a call by its key and gives the first answer a
second time. So each request has exactly one outcome:

* its answer, if that is final;
* after `Overloaded`, `ReadOnly`, `Unavailable` it is sent again under the same key, after a pause
  that doubles, until its deadline, then it fails with that error;
* at its deadline, never sent: `NotRunningError`, or `Timeout` when somebody listens there; sent:
  `Timeout`, after a grace in which one of the service itself, which knows more, may arrive;
* a request that must not be repeated and whose connection broke: `Unavailable`;
* a call whose name the service calls forgotten gets a new name, if this connection is the first
  that it was sent on: then that answer promises that it was not done. Else it fails.

Times are monotonic seconds, given by the caller.
"""

import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Generic, TypeVar, cast

from osupervisor.bridge.call_encoder import CallEncoder, CallOptions, request_frame
from osupervisor.bridge.client_errors import not_running, out_of_time, unknown
from osupervisor.bridge.errors import (
    PROTOCOL_ERROR,
    RETRYABLE,
    BridgeError,
    FrameTooLargeError,
    RemoteProtocolError,
    ServiceError,
    from_map,
)
from osupervisor.bridge.frames import FRAME_BYTES_MAX, HEADER_SIZE, FrameDecoder
from osupervisor.bridge.identity import Identity
from osupervisor.bridge.messages import RESPONSE, Notification, Response, parse, request
from osupervisor.bridge.methods import KERNEL_HELLO, METHODS, PROTOCOL_VERSION
from osupervisor.bridge.packing import DECODE_ERRORS, unpack
from osupervisor.bridge.pending import WAITING, Pending
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

_plain_at: Final = struct.Struct(">I3sIB").unpack_from
_RESPONSE: Final = b"\x94\x01\xce"
_NIL: Final = 0xC0
_PLAIN_BYTES_MIN: Final = 13
"""A result of one byte: length u32 | 94 01 ce<number> c0 | result."""
_VALUES: Final[list[object]] = [
    unpack(bytes((byte,))) if byte < 0x80 or byte in (0xC0, 0xC2, 0xC3) else WAITING
    for byte in range(256)
]
"""What one byte stands for, of those that most ops return: small numbers, None, a bool."""

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
        make: Callable[[], P],
        jitter: Callable[[], float],
        *,
        token: str | None = None,
        retries: bool = True,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        identity: Identity | None = None,
        where: str = "",
    ) -> None:
        """`where`: the address, for errors."""
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
        self._where = where
        self._retries = retries
        self._connect_timeout_s = connect_timeout_s
        self._decoder = FrameDecoder()
        self._pending: dict[int, P] = {}
        """By number, in order of the first sending; what was refused for now, in order of that."""
        self._unsent: set[int] = set()
        """Numbers that no connection was up for yet."""
        self._delayed: dict[int, float] = {}
        """Refused for now: number -> when to send it again."""
        self._check_at = _NEVER
        """No request expires before."""
        self._tries = 0
        """Connections tried since the service last answered a request."""
        self._give_up_at: float | None = None
        """Of the first connection; None: not tried yet, or it has been there."""
        self._ever_up = False

    @property
    def count(self) -> int:
        """Requests without an outcome."""
        return len(self._pending)

    def holds(self, pending: Pending) -> bool:
        """Whether an outcome of it is still to come."""
        return self._pending.get(pending.number) is pending

    def call(
        self,
        op: Any,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        now: float,
        options: CallOptions | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> P:
        """A new call. Raises LocalProtocolError, and then nothing was done."""
        pending = self._make()
        self.enter(pending, op, args, kwargs, now, options, deadline_s)
        return pending

    def enter(
        self,
        pending: P,
        op: Any,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        now: float,
        options: CallOptions | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """A new call, of which `pending` has nothing yet. Raises LocalProtocolError, and then
        nothing was done."""
        identity = self.identity
        if now >= identity.renew_at:
            self._rename(now)
        number = identity.next_number
        frame = self._encoder.frame(op, args, kwargs, number, identity.seen, options)
        identity.next_number = number + 1
        if options is not None:
            if options.timeout_s is not None:
                deadline_s = options.timeout_s
            if options.own_key:
                pending.troubled().own_key = True
        deadline_s += now
        # As `_begin`, without the cost of calling it.
        pending.number = number
        pending.frame = frame
        pending.deadline_s = deadline_s
        self._pending[number] = pending
        if self.state is _UP:
            self.out.append(frame)
        else:
            self._unsent.add(number)
        if deadline_s < self._check_at:
            self._check_at = deadline_s

    def request(self, method: str, params: list[object], now: float, deadline_s: float) -> P:
        """A new request of another method. Raises LocalProtocolError."""
        frame = request_frame(self.identity.next_number, method, params)
        pending = self._make()
        self._begin(pending, self.identity.take(), frame, now + deadline_s)
        pending.troubled().own_key = True
        known = METHODS.get(method)
        pending.troubled().once = known is not None and not known.repeatable
        return pending

    def _begin(self, pending: P, number: int, frame: bytes, deadline_s: float) -> None:
        pending.number = number
        pending.frame = frame
        pending.deadline_s = deadline_s
        self._pending[number] = pending
        if self.state is _UP:
            self.out.append(frame)
        else:
            self._unsent.add(number)
        if deadline_s < self._check_at:
            self._check_at = deadline_s

    def _rename(self, now: float) -> None:
        """New calls go under a new name; so do those that were never sent. What was sent keeps the
        name it was sent under."""
        self.identity.rename(now)
        self._encoder.rename(self.identity.client)
        for number in self._unsent:
            pending = self._pending[number]
            if pending.trouble is None or not pending.trouble.own_key:
                pending.frame = self._encoder.renamed(pending.frame, number)

    def abandon(self, pending: P) -> None:
        """Nobody waits for it any more; its answer will be dropped."""
        if self._pending.get(pending.number) is pending:
            self._forget(pending.number)

    def connected(self) -> None:
        """A connection is there. `out` holds what to write to it."""
        self._decoder = FrameDecoder()
        self._give_up_at = None
        self._ever_up = True
        self.state = State.GREETING
        introduction: dict[str, object] = {"protocol": PROTOCOL_VERSION}
        if self._token is not None:
            introduction["token"] = self._token
        self.out[:] = [request(_HELLO_ID, KERNEL_HELLO, [introduction])]

    def lost(self, now: float) -> list[P]:
        """The connection ended. Gives the requests that failed with it.

        The first new try may be made at once if the service had answered something on this one.
        """
        self._go_down()
        self.connect_at = now + self._pause(self._tries - 1, CONNECT_PAUSE_S)
        self._tries += 1
        failed: list[P] = []
        for number, pending in list(self._pending.items()):
            if number in self._unsent or number in self._delayed:
                continue
            trouble = pending.troubled()
            trouble.broken = True
            if trouble.once:
                failed.append(self._fail(number, unknown()))
        return failed

    def refused(self, now: float, cause: Exception) -> list[P]:
        """A try to connect failed. Gives the requests that failed with it."""
        self._go_down()
        if self._give_up_at is None and self._pending and not self._ever_up:
            self._give_up_at = now + self._connect_timeout_s
        self.connect_at = now + self._pause(self._tries, CONNECT_PAUSE_S)
        self._tries += 1
        if self._give_up_at is None or now < self._give_up_at:
            return []
        self._give_up_at = None
        return self.fail_all(lambda: not_running(self._where, cause))

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
        woken: list[P] = []
        waiting = len(self._pending)
        fault: RemoteProtocolError | None = None
        start = 0 if self._decoder.pending_bytes else self._receive_plain(data, woken)
        if start < len(data):
            try:
                bodies = self._decoder.feed(data[start:] if start else data)
            except FrameTooLargeError as error:
                bodies, fault = list(error.frames), error
            try:
                self._receive_all(bodies, now, woken)
            except RemoteProtocolError as error:
                fault = error
        if len(self._pending) < waiting:
            self._tries = 0
        if fault is not None:
            woken += self._break_off(fault, now)
        return woken

    def _receive_plain(self, data: bytes, woken: list[P]) -> int:
        """The results at the beginning of `data`, packed as the service does it. Gives where they
        end: there begins a frame that is cut, or anything else."""
        pendings = self._pending
        answered: list[int] = []
        size = len(data)
        start = 0
        try:
            while start + _PLAIN_BYTES_MIN <= size <= FRAME_BYTES_MAX:
                length: int
                error: int
                length, magic, number, error = _plain_at(data, start)
                end = start + HEADER_SIZE + length
                pending = pendings.get(number)
                if end > size or magic != _RESPONSE or error != _NIL or pending is None:
                    break
                if length < _PLAIN_BYTES_MIN - HEADER_SIZE:  # no result: compiled, no slice either
                    break
                value: object = WAITING
                if length == _PLAIN_BYTES_MIN - HEADER_SIZE:
                    value = _VALUES[data[end - 1]]
                if value is WAITING:
                    try:
                        value = unpack(data[start + _PLAIN_BYTES_MIN - 1 : end])
                    except DECODE_ERRORS:
                        break
                start = end
                pending.value = value
                del pendings[number]
                answered.append(number)
                pending.frame = b""  # Who keeps a million replies doesn't keep their requests.
                if pending.waiter is not None:
                    woken.append(pending)
        finally:
            self.identity.settle(answered)
        return start

    def _receive_all(self, bodies: list[bytes], now: float, woken: list[P]) -> None:
        pendings = self._pending
        answered: list[int] = []
        try:
            for body in bodies:
                try:
                    kind, number, error, value = unpack(body)
                    pending = pendings[number]
                except _NO_ANSWER:
                    self._receive_other(body, now, woken)
                    continue
                if error is not None or kind != RESPONSE:
                    self._receive_error(body, now, woken)
                    continue
                del pendings[number]
                answered.append(number)
                pending.value = value
                pending.frame = b""
                if pending.waiter is not None:
                    woken.append(pending)
        finally:
            self.identity.settle(answered)

    def _break_off(self, fault: RemoteProtocolError, now: float) -> list[P]:
        self._go_down()
        self.connect_at = now + self._pause(0, CONNECT_PAUSE_S)
        return self.fail_all(lambda: fault)

    def _receive_error(self, body: bytes, now: float, woken: list[P]) -> None:
        message = parse(body)
        if not isinstance(message, Response):
            raise RemoteProtocolError("the service sent a request", "is it another program?")
        error = from_map(message.error)
        pending = self._pending[message.id]
        if error.code in RETRYABLE and self._retries and self._delay(pending, now):
            return
        if error.data.get("forgotten") is True and self._send_renamed(pending, error, now):
            return
        woken.append(self._fail(message.id, error))

    def _delay(self, pending: P, now: float) -> bool:
        """Whether there is time to send it again; then it will be."""
        trouble = pending.troubled()
        again_at = now + self._pause(trouble.refusals, RETRY_PAUSE_S)
        if again_at >= pending.deadline_s:
            return False
        trouble.refusals += 1
        self._delayed[pending.number] = again_at
        return True

    def _send_renamed(self, pending: P, error: ServiceError, now: float) -> bool:
        """Whether it will be sent again under a new name, as its own is too old for the service."""
        trouble = pending.troubled()
        if error.code != PROTOCOL_ERROR or trouble.broken or trouble.own_key:
            return False
        self._rename(now)
        pending.frame = self._encoder.renamed(pending.frame, pending.number)
        if trouble.renamed:
            return self._delay(pending, now)
        trouble.renamed = True
        self.out.append(pending.frame)
        return True

    def _receive_other(self, body: bytes, now: float, woken: list[P]) -> None:
        """A message that answers nothing we wait for: late, about the connection, or nonsense."""
        message = parse(body)
        if isinstance(message, Response):
            if message.id == _HELLO_ID:
                self._greeted(message, now, woken)
        elif isinstance(message, Notification):
            if message.method == ERROR:
                error = from_map(message.params[0] if message.params else None)
                woken.extend(self.fail_all(lambda: error))
        else:
            raise RemoteProtocolError("the service sent a request", "is it another program?")

    def _greeted(self, hello: Response, now: float, woken: list[P]) -> None:
        if hello.error is not None:  # Also of a service that answers so what has no id.
            error = from_map(hello.error)
            woken.extend(self.fail_all(lambda: error))
        elif self.state is State.GREETING:
            said = hello.result if isinstance(hello.result, dict) else {}
            service_us = cast("dict[object, object]", said).get("now_us")
            if isinstance(service_us, int) and self.identity.learn(service_us, now):
                self._rename(now)
            self._go_up()

    def _go_up(self) -> None:
        self.state = State.UP
        self._unsent.clear()
        delayed = self._delayed
        self.out.extend(
            pending.frame for number, pending in self._pending.items() if number not in delayed
        )

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
                reached = self.state is not State.DOWN
                error = out_of_time(pending.frame, sent=sent, reached=reached)
                expired.append(self._fail(number, error))
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
        self.identity.settle([number])
        self._unsent.discard(number)
        self._delayed.pop(number, None)
        if not self._pending:
            self._give_up_at = None  # Whoever asks next waits for a time of its own.
        return pending

    def _pause(self, attempt: int, bounds: tuple[float, float]) -> float:
        """Doubles with every attempt, from the first (0) on; a random half of it is taken off, so
        that clients which were refused together don't come back together. Below 0: no pause."""
        first, longest = bounds
        if attempt < 0:
            return 0.0
        return min(longest, first * 2.0 ** min(attempt, 30)) * (0.5 + self._jitter() / 2)
