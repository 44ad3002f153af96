"""Events: what happened, told to whoever has attached a handler. After Erlang's `telemetry`.

    events.attach("slow-fsync", ["wal.fsync.stop"], warn_if_slow)
    events.execute("wal.append", {"records": 3}, {"epoch": 7})
    with events.span("checkpoint", {"lsn": 9}) as span:
        span.measure(bytes=write())

An event is a name, measurements (numbers) and metadata. Handlers run at once, in the
order in which they were attached, in whoever executes the event: they are short and
neither block nor wait. One that raises is detached, and HANDLER_FAILED says so. An event
that nobody attached to costs a look-up (benchmarks/telemetry.py).

    span      measurements                        metadata
    --------  ----------------------------------  -------------------------------
    .start    monotonic_s                         as given
    .stop     duration_s, those of `measure`      as given
    .error    duration_s, those of `measure`      as given; error: type and message
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType, TracebackType

from osupervisor.supervisor.telemetry.errors import HandlerExistsError, HandlerNotFoundError

Measurements = Mapping[str, float]
Metadata = Mapping[str, object]
Handler = Callable[[str, Measurements, Metadata], None]

HANDLER_FAILED = "telemetry.handler.failure"
_NONE: Metadata = MappingProxyType({})


class Events:
    """Who hears of what. `clock` is monotonic, in seconds."""

    __slots__ = ("_by_event", "_clock", "_events_of")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_event: dict[str, tuple[tuple[str, Handler], ...]] = {}
        self._events_of: dict[str, tuple[str, ...]] = {}

    def execute(self, event: str, measurements: Measurements, metadata: Metadata = _NONE) -> None:
        """It happened. Never raises."""
        if event in self._by_event:
            self._tell(event, measurements, metadata)

    def attach(self, handler_id: str, events: Iterable[str], handler: Handler) -> None:
        """`handler` hears of these events from now on. Raises HandlerExistsError."""
        if handler_id in self._events_of:
            raise HandlerExistsError(handler_id)
        self._events_of[handler_id] = names = tuple(dict.fromkeys(events))
        for name in names:
            self._by_event[name] = (*self._by_event.get(name, ()), (handler_id, handler))

    def detach(self, handler_id: str) -> None:
        """It hears no more, also of the event that is being told. Raises HandlerNotFoundError."""
        if handler_id not in self._events_of:
            raise HandlerNotFoundError(handler_id)
        for name in self._events_of.pop(handler_id):
            left = tuple(entry for entry in self._by_event[name] if entry[0] != handler_id)
            if left:
                self._by_event[name] = left
            else:
                del self._by_event[name]

    def handlers(self) -> Mapping[str, tuple[str, ...]]:
        """Handler -> its events, in the order in which they were attached."""
        return dict(self._events_of)

    def span(self, event: str, metadata: Metadata = _NONE) -> "Span":
        """To be used with `with`: tells of its begin, and of its end or error."""
        return Span(self, event, metadata, self._clock)

    def _tell(self, event: str, measurements: Measurements, metadata: Metadata) -> None:
        for handler_id, handler in self._by_event[event]:
            if handler_id not in self._events_of:
                continue
            try:
                handler(event, measurements, metadata)
            except Exception as error:  # a handler's crash is its detachment, and an event
                self._drop(handler_id, event, error)

    def _drop(self, handler_id: str, event: str, error: Exception) -> None:
        """Detached first, so that a failing handler of this very event ends the recursion."""
        if handler_id in self._events_of:
            self.detach(handler_id)
        told = {"handler": handler_id, "event": event, "error": _words(error)}
        self.execute(HANDLER_FAILED, {"monotonic_s": self._clock()}, told)


class Span(AbstractContextManager["Span"]):
    """One stretch of time. What is raised in it is told and goes on."""

    __slots__ = ("_began_s", "_clock", "_event", "_events", "_measured", "_metadata")

    def __init__(
        self, events: Events, event: str, metadata: Metadata, clock: Callable[[], float]
    ) -> None:
        self._events = events
        self._event = event
        self._metadata = metadata
        self._clock = clock
        self._measured: dict[str, float] = {}
        self._began_s = 0.0

    def measure(self, **measurements: float) -> None:
        """To be told at the end, beside the duration."""
        self._measured.update(measurements)

    def __enter__(self) -> "Span":
        self._began_s = self._clock()
        started = {"monotonic_s": self._began_s}
        self._events.execute(f"{self._event}.start", started, self._metadata)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        measured = {**self._measured, "duration_s": self._clock() - self._began_s}
        if error is None:
            self._events.execute(f"{self._event}.stop", measured, self._metadata)
        else:
            told = {**self._metadata, "error": _words(error)}
            self._events.execute(f"{self._event}.error", measured, told)


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


# The process's own: what has no tree of its own to hang on tells its events here.
EVENTS = Events()
execute = EVENTS.execute
attach = EVENTS.attach
detach = EVENTS.detach
span = EVENTS.span
