"""A service on a real Unix socket, for tests of clients: keeps the rules, breaks connections.

What it breaks is said per connection, in the order in which they come; later ones are served well.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from osupervisor.bridge import messages
from osupervisor.bridge.address import listen_unix
from osupervisor.bridge.call import Call
from osupervisor.bridge.methods import describe_methods
from osupervisor.bridge.session import Refusal, Session
from tests.bridge.ledger import Ledger

Where = Literal["read", "executed", "written"]


class Break(NamedTuple):
    """Where a connection ends.

    read      after so many bytes were read; what came last of them is not executed
    executed  after so many bytes were read; what came last of them is executed and not answered
    written   after so many bytes of answers were written
    """

    where: Where
    size: int


class Service:
    """Listens from the start to `stop`, one thread per connection."""

    def __init__(
        self,
        path: Path,
        breaks: Sequence[Break] = (),
        *,
        token: str | None = None,
        listener: socket.socket | None = None,
        refusals: Sequence[bytes] = (),
        silent: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        self.path = path
        self.ledger = ledger or Ledger()
        self.connections = 0
        self.requests: list[str] = []
        self._breaks = list(breaks)
        self._refusals = list(refusals)
        """Outcomes that the first calls get instead of being executed."""
        self.silent = silent
        """Whether it greets and then answers nothing."""
        self._token = token
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = listener or listen_unix(path)
        self._listener.settimeout(None)
        self._stopped = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @classmethod
    def on_tcp(cls, path: Path, breaks: Sequence[Break], token: str) -> "Service":
        """Listens on a free port of this machine instead."""
        listener = socket.create_server(("127.0.0.1", 0))
        return cls(path, breaks, token=token, listener=listener)

    @property
    def port(self) -> int:
        """Of a service on TCP."""
        port: int = self._listener.getsockname()[1]
        return port

    def refuse(self, outcomes: Sequence[bytes]) -> None:
        """Gives the next calls these outcomes instead of executing them."""
        with self._lock:
            self._refusals = list(outcomes)

    def stop(self) -> None:
        """Ends all connections and returns when every thread has ended."""
        with self._lock:
            self._stopped = True
            for open_socket in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    open_socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def break_all(self) -> None:
        """Ends every connection that is open now."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._stopped:
                    connection.close()
                    return
                fault = self._breaks.pop(0) if self._breaks else None
                self.connections += 1
                self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection, fault), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: socket.socket, fault: Break | None) -> None:
        session = Session(self._token)
        where, left = fault or Break("written", 2**40)
        with connection, contextlib.suppress(OSError):
            while left:
                data = connection.recv(65_536 if where == "written" else min(left, 65_536))
                if not data:
                    break
                if where == "written":
                    answers = self._answer(session, data)[:left]
                    left -= len(answers)
                else:
                    left -= len(data)
                    answers = b"" if where == "read" and not left else self._answer(session, data)
                    answers = answers if left else b""
                connection.sendall(answers)
        with self._lock:
            self._open.discard(connection)

    def _answer(self, session: Session, data: bytes) -> bytes:
        answers = b""
        with self._lock:
            for event in session.receive(data):
                if isinstance(event, Call):
                    answers += b"" if self.silent else self._call(event)
                elif isinstance(event, Refusal):
                    answers += event.frame
                else:
                    self.requests.append(event.method)
                    if event.method == "kernel.hello":
                        answers += greeting(event.id)
                    else:
                        result = self._result(event.method, event.params)
                        answers += messages.response(event.id, result)
        return answers

    def _call(self, call: Call) -> bytes:
        if self._refusals:
            return messages.answer(call.id, self._refusals.pop(0))
        return self.ledger.answer(call) or b""

    def _result(self, method: str, params: list[object]) -> object:
        match method:
            case "brain.state":
                return {"path": params[0], 7: b"bytes"}
            case "kernel.ping":
                return "pong"
            case "kernel.api":
                return {"methods": describe_methods(), "ops": {}}
            case "system.get_metrics":
                return "up 1\n"
            case _:
                return {"state": "ready"}


def greeting(request_id: int) -> bytes:
    """The answer to kernel.hello: always of one length."""
    said = {"service": "test", "protocol": 1, "now_us": time.time_ns() // 1000}
    return messages.response(request_id, said)
