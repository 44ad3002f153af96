"""One client's connection: frames in, calls to the core, answers out.

    read --> frames --> brain.call / brain.state --> core ... --> answer
                   \\-> any other method --> its handler ------> answer

A peer that sends what is no message is told why, and the connection is closed when that is sent.
One that doesn't read its answers is not read from any more, and closed at `unsent_bytes_max`.
"""

import asyncio
import hmac
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast
from zlib import crc32

from osupervisor.bridge import messages, methods, packing
from osupervisor.bridge.errors import (
    UNAVAILABLE,
    BridgeError,
    ErrorMap,
    FrameTooLargeError,
    RemoteProtocolError,
    ServiceError,
    Unavailable,
    error_map,
)
from osupervisor.bridge.frames import FrameDecoder
from osupervisor.supervisor.core.call import Call, Waiter
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.outgoing import Outgoing

READ_BYTES = 64 * 1024
UNREAD_BYTES = 1024 * 1024
"""With more unsent than this the peer is not read from: it reads first."""

Handler = Callable[[list[object]], "object | Awaitable[object]"]


@dataclass(frozen=True, slots=True)
class Serving:
    """What every connection works with."""

    engine: Engine
    loop: asyncio.AbstractEventLoop
    handlers: dict[str, Handler]
    queries: Callable[[], frozenset[str]]
    stopping: Callable[[], bool]
    unsent_bytes_max: int


class Connection:
    """Also the asker of its calls: the core hands it back with each answer."""

    def __init__(
        self,
        sock: socket.socket,
        serving: Serving,
        closed: "Callable[[Connection], None]",
        token: str = "",
    ) -> None:
        """`token`: must be said in kernel.hello before anything else; empty: none is wanted."""
        sock.setblocking(False)
        self._sock = sock
        self._serving = serving
        self._closed = closed
        self._token = token
        self._decoder = FrameDecoder()
        self._outgoing = Outgoing(sock, serving.loop, self._sent_all, self.close)
        self._answers: list[bytes] = []
        self._reading = False
        self._closing = False
        self.open = True
        self.half_since_s = 0.0
        """Since when half a frame is there; 0: none."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._read_on()

    # --- answers

    def answer(self, message_id: int, outcome: bytes) -> bool:
        answers = self._answers
        answers.append(messages.answer(message_id, outcome))
        return len(answers) == 1

    def flush(self) -> None:
        answers, self._answers = self._answers, []
        if not self.open or not answers:
            return
        self._outgoing.send(b"".join(answers) if len(answers) > 1 else answers[0])
        unsent = self._outgoing.unsent_bytes
        if unsent > UNREAD_BYTES:
            self._read_off()
            if unsent > self._serving.unsent_bytes_max:
                self.close()

    def _sent_all(self) -> None:
        if self._closing:
            self.close()
        else:
            self._read_on()

    # --- requests

    def _readable(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        try:
            bodies = self._decoder.feed(data)
        except FrameTooLargeError as error:
            self._refuse(None, error)
            return
        for body in bodies:
            if not self._take(body):
                return
        self.half_since_s = time.monotonic() if self._decoder.pending_bytes else 0.0

    def _take(self, body: bytes) -> bool:
        """One message. False: the connection ends."""
        try:
            call = None if self._token else messages.parse_call(body)
            if call is None:
                self._take_other(messages.parse(body))
            else:
                self._take_call(call)
        except RemoteProtocolError as error:
            if error.request_id is None or self._token:
                self._refuse(error.request_id, error)
                return False
            self._respond(error.request_id, error)
        return self.open and not self._closing

    def _take_call(self, call: messages.Call) -> None:
        serving = self._serving
        if serving.stopping():
            hint = "this request did nothing; call again under the same key when it is back"
            self._respond(call.id, Unavailable("the service is stopping", hint))
            return
        engine = serving.engine
        core = engine.core
        call_id, op, params, key, seen, _, timeout_s, durability = call
        core.call(  # by position: half the price of keywords, on the hottest line there is
            Call(
                key or "",
                b"" if key is None else encode_key(key, seen),
                seen,
                op,
                params,
                crc32(params),
                [Waiter(self, call_id, durability == "always")],
                core.context.now_us,
                0 if timeout_s is None else int(timeout_s * 1e6),
                op in serving.queries(),
            )
        )
        engine.event()

    def _take_other(self, message: messages.Message) -> None:
        if not isinstance(message, messages.Request):
            raise RemoteProtocolError(
                "a client sends requests", "docs/PROTOCOL.md says which there are"
            )
        if self._token:
            self._authenticate(message)
            return
        if message.method == "brain.state":
            self._take_state(message)
            return
        methods.check_params(message.method, message.params, message.id)
        try:
            value = self._serving.handlers[message.method](message.params)
        except Exception as error:  # a handler's fault is the caller's answer
            self._respond(message.id, error)
            return
        if isinstance(value, Awaitable):
            task = self._serving.loop.create_task(
                self._await(message.id, cast("Awaitable[object]", value))
            )
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self._respond(message.id, None, value)

    async def _await(self, message_id: int, value: Awaitable[object]) -> None:
        try:
            found = await value
        except Exception as error:  # as above
            self._respond(message_id, error)
        else:
            self._respond(message_id, None, found)

    def _take_state(self, message: messages.Request) -> None:
        methods.check_params(message.method, message.params, message.id)
        params = packing.pack(message.params[0])
        engine = self._serving.engine
        engine.core.call(
            Call(
                key="",
                key_bytes=b"",
                seen=0,
                op="brain.state",
                params=params,
                crc=crc32(params),
                waiters=[Waiter(self, message.id)],
                admitted_us=engine.core.context.now_us,
                timeout_us=0,
                query=True,
                method="state",
            )
        )
        engine.event()

    def _authenticate(self, message: messages.Request) -> None:
        said = message.params[0] if message.params else None
        token = cast("dict[str, object]", said).get("token") if isinstance(said, dict) else None
        if message.method != "kernel.hello" or not isinstance(token, str):
            raise RemoteProtocolError(
                "this address wants kernel.hello with the token first",
                'send [{"token": "..."}]; the token stands in the file listen.token_file names',
                message.id,
            )
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise RemoteProtocolError(
                "the token is wrong", "listen.token_file names the file with it", message.id
            )
        self._token = ""
        self._respond(message.id, None, self._serving.handlers["kernel.hello"](message.params))

    def _respond(self, message_id: int, error: BaseException | None, value: object = None) -> None:
        if error is not None:
            outcome = packing.pack(_map_of(error)) + b"\xc0"
        else:
            outcome = b"\xc0" + packing.pack(value)
        if self.answer(message_id, outcome):
            self.flush()

    def _refuse(self, message_id: int | None, error: BridgeError) -> None:
        """Say why, then end the connection."""
        self._closing = True
        self._read_off()
        self._respond(message_id or 0, error)
        self.flush()
        if not self._outgoing.unsent_bytes:
            self.close()

    # --- ends

    def _read_on(self) -> None:
        if not self._reading and self.open:
            self._reading = True
            self._serving.loop.add_reader(self._sock.fileno(), self._readable)

    def _read_off(self) -> None:
        if self._reading:
            self._reading = False
            self._serving.loop.remove_reader(self._sock.fileno())

    def close(self) -> None:
        """Nothing more comes or goes. What was admitted goes on: it may have taken effect."""
        if not self.open:
            return
        self._read_off()
        self.open = False
        self._outgoing.close()
        self._sock.close()
        for task in self.tasks:
            task.cancel()
        self._closed(self)


def _map_of(error: BaseException) -> ErrorMap:
    if isinstance(error, (ServiceError, RemoteProtocolError)):
        return error.to_map()
    hint = "try again; see `osupervisor logs`" if not isinstance(error, BridgeError) else error.hint
    return error_map(UNAVAILABLE, f"{type(error).__name__}: {error}", hint)
