"""One client's connection as the service sees it: bytes in, calls and requests out. Pure.

States and what a peer may send in each; a session with a token starts `new`, any other `open`:

    state     kernel.hello         brain.call   other method   anything else   end of file
    -------   ------------------   ----------   ------------   -------------   -----------
    new       right token: open    close        close          close           closed
              else: close
    open      as above             open         open           close           closed
    closing   -                    -            -              -               closed

`close` means: an error is sent, the state is `closing`, and nothing more is read. A request that
can be read so far that its id is known, and is wrong otherwise, gets an error answer and the
session stays as it is. `anything else`: a frame over the limit, a body that is no message,
responses and notifications: clients send neither.

Before the token has been checked frames are short, so that strangers can't make us hold much.
"""

import hmac
from enum import Enum
from typing import Final, NamedTuple, TypeAlias, cast

from osupervisor.bridge.call import Call, parse_call
from osupervisor.bridge.errors import FrameTooLargeError, RemoteProtocolError
from osupervisor.bridge.frames import FRAME_BYTES_MAX, FrameDecoder
from osupervisor.bridge.messages import Request, failure, notification, parse
from osupervisor.bridge.methods import BRAIN_CALL, KERNEL_HELLO, check_params

HELLO_BYTES_MAX: Final = 4096
"""Longest frame of a peer that has not shown its token."""
CONTROL_BYTES_MAX: Final = 65_536
"""Longest message but for brain.call: it is decoded whole, and may then take 60 times its size."""
_TOKEN_HINT: Final = (
    "give Client(address, token=...) what stands in the service's listen.token_file"
)
ERROR: Final = "kernel.error"
"""The notification that is sent before a session is closed."""


class State(Enum):
    """What may come next."""

    NEW = "new"
    OPEN = "open"
    CLOSING = "closing"


class Sent(Enum):
    """What a peer sends, as far as the rules tell it apart."""

    HELLO = "kernel.hello"
    BAD_HELLO = "kernel.hello with a wrong token"
    CALL = "brain.call"
    OTHER = "another method"
    NONSENSE = "anything else"


RULES: Final[dict[tuple[State, Sent], State]] = {
    (State.NEW, Sent.HELLO): State.OPEN,
    (State.NEW, Sent.BAD_HELLO): State.CLOSING,
    (State.NEW, Sent.CALL): State.CLOSING,
    (State.NEW, Sent.OTHER): State.CLOSING,
    (State.NEW, Sent.NONSENSE): State.CLOSING,
    (State.OPEN, Sent.HELLO): State.OPEN,
    (State.OPEN, Sent.BAD_HELLO): State.CLOSING,
    (State.OPEN, Sent.CALL): State.OPEN,
    (State.OPEN, Sent.OTHER): State.OPEN,
    (State.OPEN, Sent.NONSENSE): State.CLOSING,
}
"""The state after what was sent. In CLOSING nothing is read, so that nothing is listed."""


class Refusal(NamedTuple):
    """Bytes to send to the peer, as its message was refused."""

    frame: bytes
    reason: str


Event: TypeAlias = Call | Request | Refusal


_OPEN: Final = State.OPEN  # Looking up an enum's member costs as much as a comparison.
_CLOSING: Final = State.CLOSING


class Session:
    """The rules for one connection. The shell reads and writes; when the session is `closing` it
    sends what it has and closes.

    `token`: what kernel.hello must show. None: peers are checked by other means.
    """

    __slots__ = ("_decoder", "_frame_bytes_max", "_token", "state")

    def __init__(self, token: str | None = None, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.state = State.OPEN if token is None else State.NEW
        self._token = token
        self._frame_bytes_max = frame_bytes_max
        self._decoder = FrameDecoder(frame_bytes_max if token is None else HELLO_BYTES_MAX)

    @property
    def closing(self) -> bool:
        """Whether nothing more is read."""
        return self.state is _CLOSING

    @property
    def pending_bytes(self) -> int:
        """Bytes held of a frame that is not whole: the shell bounds how many, and how long."""
        return self._decoder.pending_bytes

    def close(self) -> None:
        """From now on nothing is read."""
        self._enter(State.CLOSING)

    def receive(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """What the bytes complete, in order. Never raises for what a peer sends."""
        if self.closing:
            return []
        fault: FrameTooLargeError | None = None
        try:
            bodies = self._decoder.feed(data)
        except FrameTooLargeError as error:
            bodies, fault = list(error.frames), error
        events: list[Event] = []
        for body in bodies:
            if self.state is _CLOSING:
                return events
            call: Call | None = None
            if self.state is _OPEN:  # A call leaves it so: the hot path needs no table.
                try:
                    call = parse_call(body)
                except RemoteProtocolError as error:
                    events.append(self._refuse(error))
                    continue
            events.append(self._receive_other(body) if call is None else call)
        if fault is not None and not self.closing:
            events.append(self._refuse(fault))
        return events

    def _receive_other(self, body: bytes) -> Event:
        was = self.state
        try:
            sent, request = self._read(body)
        except RemoteProtocolError as error:
            return self._refuse(error)
        self._enter(RULES[was, sent])
        if self.state is not State.CLOSING:
            return request
        reason = "the first message must be kernel.hello with the right token"
        return _refusal(RemoteProtocolError(reason, _TOKEN_HINT, request.id))

    def _read(self, body: bytes) -> tuple[Sent, Request]:
        if len(body) > CONTROL_BYTES_MAX:
            raise RemoteProtocolError(
                f"a message of {len(body)} bytes is no {BRAIN_CALL}",
                f"all others have at most {CONTROL_BYTES_MAX} bytes",
            )
        message = parse(body)
        if not isinstance(message, Request):
            raise RemoteProtocolError("clients send requests only", "see docs/PROTOCOL.md")
        if message.method == BRAIN_CALL:
            return Sent.CALL, message
        check_params(message.method, message.params, message.id)
        if message.method != KERNEL_HELLO:
            return Sent.OTHER, message
        return (Sent.HELLO if self._shows_token(message) else Sent.BAD_HELLO), message

    def _shows_token(self, hello: Request) -> bool:
        if self._token is None:
            return True
        introduction: object = hello.params[0] if hello.params else {}
        shown = cast("dict[object, object]", introduction).get("token")
        return isinstance(shown, str) and hmac.compare_digest(shown.encode(), self._token.encode())

    def _refuse(self, error: RemoteProtocolError) -> Refusal:
        sent = Sent.NONSENSE if error.request_id is None else Sent.OTHER
        self._enter(RULES[self.state, sent])
        return _refusal(error)

    def _enter(self, state: State) -> None:
        self.state = state
        self._decoder.frame_bytes_max = (
            HELLO_BYTES_MAX if state is State.NEW else self._frame_bytes_max
        )


def _refusal(error: RemoteProtocolError) -> Refusal:
    if error.request_id is None:
        return Refusal(notification(ERROR, [error.to_map()]), str(error))
    return Refusal(failure(error.request_id, error.to_map()), str(error))
