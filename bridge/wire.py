"""A client's connection for threads that wait: the shell around an exchange. A hot path.

Any thread may ask; none is kept for it. Of the threads that wait for an outcome one *drives*: it
connects, reads, and wakes the others as their outcomes come; the rest are parked, each on a lock of
its own. A driver that has its outcome hands over to a parked thread. So a single thread pays for no
other, and a hundred share one connection.

Rules
* Everything but the socket's waiting happens under `lock`; only the driver waits for the socket,
  connects or closes, and holds no lock while it does.
* Whoever asks also writes, without blocking. What the socket doesn't take is left to the driver,
  which is woken for it. A driver goes on reading while it waits to write: two peers whose buffers
  are full of each other's bytes would wait for ever.
* ^C may come after any call: so the lock is taken by `with`, and given back for a while inside the
  `try` that takes it again.
"""

import os
import random
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, Final

from osupervisor.bridge.address import Address, connect, service_address
from osupervisor.bridge.call_encoder import CallOptions
from osupervisor.bridge.compiling import mypyc_attr
from osupervisor.bridge.errors import AddressError, LocalProtocolError
from osupervisor.bridge.exchange import GRACE_S, Exchange, State
from osupervisor.bridge.pending import Reply

READ_BYTES: Final = 65_536
"""Larger reads come from fresh pages of the kernel every time, and cost ten times as much."""
CONNECT_TRY_S: Final = 5.0
"""Longest single try to connect. It ends before, where a request is due before."""
CONNECT_TRY_S_MIN: Final = 0.001
IDLE_S: Final = 3600.0
"""A driver with nothing to expect wakes at least so often."""
_WRITE_FLAGS: Final = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
_READ_FLAGS: Final = int(socket.MSG_DONTWAIT)
_now: Final = monotonic


@mypyc_attr(allow_interpreted_subclasses=True)
class Wire:
    """One connection, shared by any number of threads. To be used as a `Link`."""

    def __init__(
        self, address: Address, *, token: str | None, retries: bool, connect_timeout_s: float
    ) -> None:
        self._address = address
        self._new_exchange: Callable[[], Exchange[Reply]] = lambda: Exchange(
            Reply,
            random.random,
            token=token,
            retries=retries,
            connect_timeout_s=connect_timeout_s,
            where=str(address),
        )
        self._socket: socket.socket | None = None
        self._begin()

    def _begin(self) -> None:
        self.lock = threading.Lock()
        self.exchange = self._new_exchange()
        self._unwritten = memoryview(b"")
        """What the socket did not take of what was written last; `exchange.out` goes behind it."""
        self._driving = False
        self._parked: dict[threading.Lock, None] = {}
        self.closed = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._polls_output = False

    def call(
        self,
        op: Any,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        options: CallOptions | None,
    ) -> Reply:
        """A call, written as far as the socket takes it. Raises LocalProtocolError."""
        with self.lock:
            self._check_open()
            reply = Reply()
            self.exchange.enter(reply, op, args, kwargs, _now(), options)
            reply.link = self
            self.write()
        return reply

    def request(self, method: str, params: list[object], deadline_s: float) -> Reply:
        """Another request. Raises LocalProtocolError."""
        with self.lock:
            self._check_open()
            reply = self.exchange.request(method, params, _now(), deadline_s)
            reply.link = self
            self.write()
        return reply

    def _check_open(self) -> None:
        if self.closed:
            raise LocalProtocolError("the client is closed", "make a new Client")

    def flush(self) -> None:
        """Writes what the socket takes now; the rest follows when somebody waits."""
        with self.lock:
            self.write()

    def wait(self, reply: Reply) -> None:
        """Returns when the reply has its outcome."""
        with self.lock:
            try:
                while not reply.done:
                    if reply.link is not self or not self.exchange.holds(reply):
                        reason = "this reply belongs to another process"
                        raise LocalProtocolError(reason, "ask again")
                    if self._driving:
                        self._park(reply)
                    else:
                        self._drive()
            finally:
                if self._parked and not self._driving:
                    self._unpark(next(iter(self._parked)))

    def _park(self, reply: Reply) -> None:
        """Sleeps until the outcome is there, the driver has left, or the reply's time is up."""
        self.write()
        parked = threading.Lock()
        parked.acquire()
        self._parked[parked] = None
        reply.waiter = [*(reply.waiter or ()), parked]
        timeout_s = max(0.0, reply.deadline_s + GRACE_S - _now())
        try:
            self.lock.release()
            parked.acquire(timeout=min(timeout_s, IDLE_S))
        finally:
            self.lock.acquire()
            self._parked.pop(parked, None)
            self._wake_all(self.exchange.tick(_now()))

    def _unpark(self, parked: threading.Lock) -> None:
        if parked in self._parked:
            del self._parked[parked]
            parked.release()

    def _wake_all(self, replies: list[Reply]) -> None:
        for reply in replies:
            for parked in reply.waiter or ():
                self._unpark(parked)

    def _drive(self) -> None:
        """One turn: connect or write, wait until something comes or is due, read it."""
        self._driving = True
        try:
            if self._socket is None:
                self._connect()
            else:
                self.write()
                self._read_when_ready(self._socket)
            self._wake_all(self.exchange.tick(_now()))
        finally:
            self._driving = False
            if self.closed:
                self.release()

    def _connect(self) -> None:
        pause_s = self.exchange.connect_at - _now()
        if pause_s > 0:
            self._sleep(min(pause_s, self._due_in_s()))
            return
        due_s = self.exchange.next_at(connecting=True) - _now()
        timeout_s = min(CONNECT_TRY_S, max(CONNECT_TRY_S_MIN, due_s))
        connection: socket.socket | None = None
        cause: OSError | AddressError | None = None
        try:
            self.lock.release()
            connection = connect(service_address(self._address), timeout_s)
        except (OSError, AddressError) as error:
            cause = error
        finally:
            self.lock.acquire()
        if isinstance(cause, AddressError):
            fault = cause
            self._wake_all(self.exchange.fail_all(lambda: fault))
        elif cause is not None:
            self._wake_all(self.exchange.refused(_now(), cause))
        elif connection is not None:
            self._connected(connection)

    def _connected(self, connection: socket.socket) -> None:
        if self.closed:
            connection.close()
            return
        self._socket = connection
        self._polls_output = False
        try:
            self._poll.register(connection, select.POLLIN)
            self.exchange.connected()
            self.write()
        except BaseException:  # ^C: the service may not have been greeted, and waits for that
            self._drop(connection)
            self.exchange.lost(_now())
            raise

    def write(self) -> None:
        """Under `lock`: writes what the socket takes now, and leaves the rest to the driver."""
        out = self.exchange.out
        connection = self._socket
        if connection is None or not (out or self._unwritten):
            return
        try:
            if self._unwritten:
                sent = _send(connection, self._unwritten)
                self._unwritten = self._unwritten[sent:]
            if out and not self._unwritten:
                data = b"".join(out) if len(out) > 1 else out[0]
                out.clear()
                sent = _send(connection, data)
                if sent < len(data):
                    self._unwritten = memoryview(data)[sent:]
        except BaseException:  # ^C: nobody knows what was sent; all is sent again on another one
            self._unwritten = memoryview(b"")
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            raise
        if self._unwritten and not self._polls_output:
            self._polls_output = True
            self._poll.modify(connection, select.POLLIN | select.POLLOUT)
            self._rouse()
        elif self._polls_output and not self._unwritten:
            self._polls_output = False
            self._poll.modify(connection, select.POLLIN)

    def _read_when_ready(self, connection: socket.socket) -> None:
        self._sleep(self._due_in_s())
        try:
            try:
                data = connection.recv(READ_BYTES, _READ_FLAGS)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            woken = self.exchange.receive(data, _now()) if data else []
        except BaseException:  # ^C: a part of what was read is lost, and the rest can't be read on
            self._drop(connection)
            self.exchange.lost(_now())
            for parked in list(self._parked):  # they look by themselves what has come
                self._unpark(parked)
            raise
        if not data:
            self._drop(connection)
            woken = self.exchange.lost(_now())
        elif self.exchange.state is State.DOWN:
            self._drop(connection)
        self._wake_all(woken)

    def _due_in_s(self) -> float:
        return min(IDLE_S, max(0.0, self.exchange.next_at() - _now()))

    def _sleep(self, timeout_s: float) -> None:
        """Until the socket is ready, somebody rouses the driver, or the time is up."""
        try:
            self.lock.release()
            ready = self._poll.poll(timeout_s * 1000)
        finally:
            self.lock.acquire()
        for descriptor, _ in ready:
            if descriptor == self._wake:
                os.eventfd_read(self._wake)

    def _rouse(self) -> None:
        if self._driving:
            os.eventfd_write(self._wake, 1)

    def _drop(self, connection: socket.socket) -> None:
        self._poll.unregister(connection)
        self._socket = None
        self._unwritten = memoryview(b"")
        connection.close()

    def close(self) -> None:
        """Closes the connection. What was in flight fails; whether it was done is open."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            closed = LocalProtocolError("the client was closed before the answer came")
            self._wake_all(self.exchange.fail_all(lambda: closed))
            if self._driving:
                os.eventfd_write(self._wake, 1)
            else:
                self.release()

    def release(self) -> None:
        if self._socket is not None:
            self._drop(self._socket)
        os.close(self._wake)

    def begin_anew(self) -> None:
        """In a forked child: gives up the parent's name, connection and requests. Locks may be in
        any state, as the threads that held them are not here."""
        parents = LocalProtocolError("this was asked by the parent process", "ask again")
        self.exchange.fail_all(lambda: parents)
        if not self.closed:
            self.release()
            self._begin()


def _send(connection: socket.socket, data: bytes | memoryview) -> int:
    """How much of it the socket took; all, where it is broken: the driver finds that when it
    reads."""
    try:
        return connection.send(data, _WRITE_FLAGS)
    except BlockingIOError:
        return 0
    except OSError:
        return len(data)
