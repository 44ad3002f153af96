"""One client's connection: frames in, calls to the core, answers out.

    read --> session --> brain.call / brain.state --> core ... --> answer
                    \\-> any other method --> its handler ------> answer

What a peer may send is the session's business (bridge/session.py). One that doesn't read its
answers is not read from any more, and closed at `unsent_bytes_max`. What it then asks for again is
in the log, and read from there as it reads: all at once it would be closed again, for ever.
"""

import asyncio
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, cast

from librt.strings import BytesWriter

from osupervisor.bridge import messages, packing
from osupervisor.bridge.call import Call
from osupervisor.bridge.errors import (
    PROTOCOL_ERROR,
    UNAVAILABLE,
    BridgeError,
    ErrorMap,
    RemoteProtocolError,
    ServiceError,
    Unavailable,
    error_map,
)
from osupervisor.bridge.frames import FRAME_BYTES_MAX
from osupervisor.bridge.messages import Request
from osupervisor.bridge.methods import BRAIN_STATE
from osupervisor.bridge.session import Refusal, Session, State
from osupervisor.supervisor.core.call import Call as CoreCall
from osupervisor.supervisor.core.call import Waiter
from osupervisor.supervisor.core.key import encode as encode_key
from osupervisor.supervisor.runtime.engine import TURN_EVENTS, Engine
from osupervisor.supervisor.runtime.outgoing import Outgoing
from osupervisor.wal.checksum import crc32

READ_BYTES: Final = 64 * 1024
OUTCOME_BYTES_MAX: Final = FRAME_BYTES_MAX - 16
"""What stands before it in an answer has 11 bytes at most."""
UNREAD_BYTES: Final = 1024 * 1024
"""With more unsent than this the peer is not read from: it reads first."""
LATER_MAX: Final = 1024
"""Nor with so many answers that wait for it to read: it could ask for ever."""

_NEW: Final = State.NEW  # Looking up an enum's member costs as much as a comparison.

Handler = Callable[[list[object]], "object | Awaitable[object]"]


@dataclass(slots=True)
class Serving:
    """What every connection works with. `queries` and `stopping` change; the rest is for good."""

    engine: Engine
    loop: asyncio.AbstractEventLoop
    handlers: dict[str, Handler]
    unsent_bytes_max: int
    queries: frozenset[str] = frozenset()
    """The ops that may not write, by the primary's schema."""
    stopping: bool = False


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
        self._session = Session(token or None)
        self._outgoing = Outgoing(sock, serving.loop, self._sent_all, self.close)
        self._answers = BytesWriter()
        self._later: deque[Callable[[], None]] = deque()
        """What answers, one by one, when all before it is sent."""
        self._reading = False
        self.open = True
        self.half_since_s = 0.0
        """Since when a part of a frame is there, or earlier, or a token is due; 0: neither."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._read_on()

    # --- answers

    def answer(self, message_id: int, outcome: bytes) -> bool:
        answers = self._answers
        is_first = len(answers) == 0
        messages.write_answer(answers, message_id, outcome)
        return is_first

    def flush(self) -> None:
        answers = self._answers
        if len(answers) == 0:
            return
        self._answers = BytesWriter()
        if not self.open:
            return
        has_unread = self._outgoing.unsent_bytes > 0
        self._outgoing.send(answers.getvalue())
        unsent = self._outgoing.unsent_bytes
        if unsent > UNREAD_BYTES:
            self._read_off()
            if has_unread and unsent > self._serving.unsent_bytes_max:
                self.close()

    def when_read(self, answer: Callable[[], None]) -> None:
        if not (self._outgoing.unsent_bytes or self._later):
            answer()
            return
        self._later.append(answer)
        if len(self._later) >= LATER_MAX:
            self._read_off()

    def _sent_all(self) -> None:
        later = self._later
        while later and not self._outgoing.unsent_bytes:
            later.popleft()()
        if self._outgoing.unsent_bytes:
            return
        if self._session.closing:
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
        session, engine = self._session, self._serving.engine
        taken = 0
        events = session.receive(data)
        for event in events:
            if isinstance(event, Call):
                self._take_call(event)
                taken += 1
                if taken == TURN_EVENTS:
                    engine.event(taken)
                    taken = 0
            elif isinstance(event, Refusal):
                self._send(event.frame)
            else:
                self._take_request(event)
        if taken:
            engine.event(taken)
        if self._reading:
            self._look_for_half(anew=bool(events))
        if session.closing:
            self._end()

    def _look_for_half(self, *, anew: bool) -> None:
        """`anew`: what is there now has begun to come just now. A stranger has so long for all of
        his token, whatever he sends of it."""
        if self._session.state is _NEW:
            self.half_since_s = self.half_since_s or time.monotonic()
        elif not self._session.pending_bytes:
            self.half_since_s = 0.0
        elif anew or not self.half_since_s:
            self.half_since_s = time.monotonic()

    def _take_call(self, call: Call) -> None:
        serving = self._serving
        if serving.stopping:
            hint = "this request did nothing; call again under the same key when it is back"
            self._respond(call.id, Unavailable("the service is stopping", hint))
            return
        core = serving.engine.core
        op, params, key, seen, timeout_s = call.op, call.params, call.key, call.seen, call.timeout_s
        core.call(  # by position: half the price of keywords, on the hottest line there is
            CoreCall(
                key or "",
                b"" if key is None else encode_key(key, seen),
                seen,
                op,
                params,
                crc32(params),
                [Waiter(self, call.id, call.durability == "always")],
                core.context.now_us,
                0 if timeout_s is None else max(1, int(timeout_s * 1e6)),
                op in serving.queries,
            )
        )

    def _take_request(self, message: Request) -> None:
        if message.method == BRAIN_STATE:
            self._take_state(message)
            return
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

    def _take_state(self, message: Request) -> None:
        """A query for a part of the state. Its path is a request's only param."""
        params = packing.pack(message.params[0])
        core = self._serving.engine.core
        core.call(
            CoreCall(
                key="",
                key_bytes=b"",
                seen=0,
                op=BRAIN_STATE,
                params=params,
                crc=crc32(params),
                waiters=[Waiter(self, message.id)],
                admitted_us=core.context.now_us,
                timeout_us=0,
                query=True,
                method="state",
            )
        )
        self._serving.engine.event()

    def _respond(self, message_id: int, error: BaseException | None, value: object = None) -> None:
        if self.answer(message_id, _outcome(error, value)):
            self.flush()

    def _send(self, frame: bytes) -> None:
        """A frame that is no answer to a call."""
        self._answers.write(frame)
        self.flush()

    def _end(self) -> None:
        """Nothing more is read; close when all is sent."""
        self._read_off()
        if not self._outgoing.unsent_bytes:
            self.close()

    # --- ends

    def _read_on(self) -> None:
        if not self._reading and self.open:
            self._reading = True
            self._look_for_half(anew=True)
            self._serving.loop.add_reader(self._sock.fileno(), self._readable)

    def _read_off(self) -> None:
        if self._reading:
            self._reading = False
            self.half_since_s = 0.0  # it is we who keep the other half from coming
            self._serving.loop.remove_reader(self._sock.fileno())

    def close(self) -> None:
        """Nothing more comes or goes. What was admitted goes on: it may have taken effect."""
        if not self.open:
            return
        self._read_off()
        self.open = False
        self._later.clear()
        self._outgoing.close()
        self._sock.close()
        for task in self.tasks:
            task.cancel()
        self._closed(self)


def _outcome(error: BaseException | None, value: object) -> bytes:
    """What can't be packed (a schema with too many levels, a path that is no UTF-8), and what no
    frame takes (all letters, long reports), is told."""
    try:
        if error is None:
            outcome = b"\xc0" + packing.pack(value)
        else:
            outcome = packing.pack(_map_of(error)) + b"\xc0"
    except (TypeError, ValueError, OverflowError) as fault:
        reason = f"the answer can't be packed: {fault!a:.200}"
        return packing.pack(error_map(PROTOCOL_ERROR, reason, "see `osupervisor logs`")) + b"\xc0"
    if len(outcome) <= OUTCOME_BYTES_MAX:
        return outcome
    reason = f"the answer has {len(outcome)} bytes, a frame takes {FRAME_BYTES_MAX}"
    hint = "the commands of `osupervisor` read it from the data directory's files"
    return packing.pack(error_map(PROTOCOL_ERROR, reason, hint)) + b"\xc0"


def _map_of(error: BaseException) -> ErrorMap:
    if isinstance(error, (ServiceError, RemoteProtocolError)):
        return error.to_map()
    hint = "try again; see `osupervisor logs`" if not isinstance(error, BridgeError) else error.hint
    return error_map(UNAVAILABLE, f"{type(error).__name__}: {error}", hint)
