"""Plays the supervisor's side of a brain, over real sockets and processes.

Nothing is simulated: the nursery is `python -m osupervisor.brain.nursery`, brains are what it
forks, the log is made by `wal.record.encode`. Every wait is for a condition and ends after WAIT_S.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from osupervisor.brain.packing import decode, encode, new_decoder
from osupervisor.bridge import line as bridge_line
from osupervisor.bridge import port_messages
from osupervisor.bridge.frames import PORT_FRAME_BYTES_MAX, FrameDecoder
from osupervisor.bridge.line import Datagram
from osupervisor.vault_store import hot
from osupervisor.vault_store.hot import HotReader
from osupervisor.wal.record import Kind
from osupervisor.wal.record import encode as encode_record

WAIT_S = 20.0
"""Longer than anything here takes on a loaded machine; only a failing test waits for it."""
T_US = 1_700_000_000_000_000
SEED = 7
BRAINS = Path(__file__).parent / "brains.py"
PING_ID = port_messages.PING_ID_MIN


class Ended(Exception):
    """The brain closed its port."""


unpack = decode
pack = encode


def request(op: str, *args: Any, **kwargs: Any) -> bytes:
    """The bytes of a request, with the time and seed that all tests use."""
    return port_messages.request_bytes(pack(op) + pack(args) + pack(kwargs), T_US, SEED)


def wait_until(condition: Callable[[], Any], what: str) -> Any:
    """The condition's first true value."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"{what}: not within {WAIT_S} s")


class Response:
    """A brain's answer to request `n`."""

    def __init__(self, message: list[Any]) -> None:
        kind, self.n, self.error, found = message
        assert kind == 1 and self.error is None, message
        self.epoch: int = found[0]
        self.outcome: bytes = found[1]
        self.ops: bytes | None = found[2] if len(found) == 4 else None
        self.effects: bytes = found[3] if len(found) == 4 else b"\x90"
        decoder = new_decoder(2**26)
        decoder.feed(self.outcome)
        self.failure: dict[str, Any] | None = decoder.unpack()
        self.result: Any = decoder.unpack()

    @property
    def commit(self) -> bytes:
        assert self.ops is not None, "a query has no commit"
        return pack(self.outcome) + pack(self.ops) + pack(self.effects)


class Log:
    """The log as the supervisor has it: whole records in LSN order."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    @property
    def lsn(self) -> int:
        return len(self.records)

    def append(
        self, kind: Kind, epoch: int, key: bytes = b"", request: bytes = b"", commit: bytes = b""
    ) -> bytes:
        record = encode_record(self.lsn + 1, epoch, kind, T_US, 0, key, request, commit)
        self.records.append(record)
        return record

    def lease(self, epoch: int) -> bytes:
        return self.append(Kind.LEASE, epoch)

    def commit(self, response: Response, request: bytes) -> bytes:
        return self.append(Kind.COMMIT, response.epoch, pack(["c", 1, 0]), request, response.commit)


class BrainEnd:
    """The supervisor's ends of one brain. `pid` is set by whoever started it."""

    def __init__(self) -> None:
        self.port, self._port = socket.socketpair()
        self.line, self._line = bridge_line.pair()
        self.hot_fd = hot.create()
        self.hot = HotReader(self.hot_fd)
        self.output, self._output = os.pipe2(os.O_CLOEXEC)
        self.pid = 0
        self._pidfd = -1
        self.epoch = 0
        self.n = 0
        self.ready: dict[str, Any] = {}
        self._decoder = FrameDecoder(PORT_FRAME_BYTES_MAX)
        self._messages: list[list[Any]] = []
        self._requests: dict[int, bytes] = {}

    def descriptors(self) -> list[int]:
        """What the brain gets: port, line, hot segment, output."""
        return [self._port.fileno(), self._line.fileno(), self.hot_fd, self._output]

    def given(self) -> None:
        """The descriptors were sent: close the copies, so that ends are seen."""
        self._port.close()
        self._line.close()
        os.close(self._output)

    def send(self, frame: bytes) -> None:
        self.port.sendall(frame)

    def notify(self, method: str, *params: Any) -> None:
        self.send(port_messages.notify_frame(method, *params))

    def message(self) -> list[Any]:
        """The next message. Raises Ended at end of file, AssertionError when none comes."""
        end = time.monotonic() + WAIT_S
        while not self._messages:
            left = end - time.monotonic()
            readable, _, _ = select.select([self.port], [], [], max(0.0, left))
            assert readable, f"brain {self.pid} says nothing: {self.printed()}"
            try:
                data = self.port.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                raise Ended(self.printed())
            self._messages += [unpack(body) for body in self._decoder.feed(data)]
        return self._messages.pop(0)

    def quiet(self) -> bool:
        """Whether nothing more has come: to be asked when something later has been answered."""
        readable, _, _ = select.select([self.port], [], [], 0)
        return not self._messages and not readable

    def expect(self, method: str) -> Any:
        """The params of the next message, which must be the notification `method`."""
        message = self.message()
        assert message[:2] == [2, method], message
        return message[2]

    def expect_ready(self) -> dict[str, Any]:
        self.ready = self.expect("ready")[0]
        self.pid = self.ready["pid"]
        if self._pidfd < 0:
            self._pidfd = os.pidfd_open(self.pid)
        return self.ready

    def lease(self, epoch: int, lsn: int) -> None:
        self.epoch, self.n = epoch, 0
        self.notify("lease", epoch, lsn)

    def records(self, *records: bytes) -> None:
        for frame in port_messages.record_frames(list(records)):
            self.send(frame)

    def begin(self, op: str, *args: Any, **kwargs: Any) -> int:
        """Send a call; its n."""
        return self.begin_request(request(op, *args, **kwargs))

    def begin_request(self, packed: bytes, key: object = ("c", 1, 0)) -> int:
        self.n += 1
        self._requests[self.n] = packed
        self.send(port_messages.call_frame(self.n, self.epoch, pack(key), packed))
        return self.n

    def request_of(self, n: int) -> bytes:
        """The request that was sent as `n` of the running lease."""
        return self._requests[n]

    def response(self) -> Response:
        return Response(self.message())

    def call(self, op: str, *args: Any, **kwargs: Any) -> Response:
        n = self.begin(op, *args, **kwargs)
        response = self.response()
        assert (response.n, response.epoch) == (n, self.epoch)
        return response

    def commit(self, log: Log, response: Response) -> bytes:
        """Append the response to the log and confirm it."""
        record = log.commit(response, self._requests[response.n])
        self.notify("confirm", response.n, log.lsn)
        return record

    def do(self, log: Log, op: str, *args: Any, **kwargs: Any) -> Response:
        """Call, append, confirm."""
        response = self.call(op, *args, **kwargs)
        self.commit(log, response)
        return response

    def ping(self) -> dict[str, Any]:
        """LSN and epoch, once everything sent before is done."""
        self.send(port_messages.ping_frame(PING_ID))
        message = self.message()
        assert message[:3] == [1, PING_ID, None], message
        return cast(dict[str, Any], message[3])

    def expect_spawned(self) -> Any:
        """The params of `spawned`, which a brain sends behind whatever else it does then."""
        while True:
            self.send(port_messages.ping_frame(PING_ID))
            found = [self.message()]
            while found[-1][:2] != [1, PING_ID]:
                found.append(self.message())
            told = [message[2] for message in found if message[:2] == [2, "spawned"]]
            if told:
                return told[0]

    def state(self, *path: Any) -> Any:
        """The state as any brain gives it, leased or not."""
        self.send(port_messages.read_state_frame(2**62, pack(path)))
        message = self.message()
        assert message[:2] == [1, 2**62], message
        response = Response(message)
        assert response.failure is None, response.failure
        return response.result

    def read(self, op: str, *args: Any) -> Response:
        """A query executed by a follower."""
        self.send(port_messages.read_frame(2**62, request(op, *args)))
        message = self.message()
        assert message[:2] == [1, 2**62], message
        return Response(message)

    def printed(self) -> str:
        """What the brain has printed so far and nobody has read."""
        data = b""
        while select.select([self.output], [], [], 0)[0]:
            more = os.read(self.output, 65_536)
            if not more:
                break
            data += more
        return data.decode(errors="replace")

    def wait_for_end(self) -> None:
        """Until the brain has closed its port; messages on the way are dropped."""
        try:
            while True:
                self.message()
        except Ended:
            return

    def kill(self, number: int) -> None:
        assert self._pidfd >= 0, "it has not said ready"
        signal.pidfd_send_signal(self._pidfd, number)

    def keep_port(self) -> socket.socket:
        """A copy of the port's end, so that `new_port` does not end it."""
        return self.port.dup()

    def new_port(self, epoch: int) -> None:
        """What the next supervisor does: send a new port and a new output pipe over the line."""
        self.port.close()
        os.close(self.output)
        self.port, port = socket.socketpair()
        self.output, output = os.pipe2(os.O_CLOEXEC)
        self._decoder = FrameDecoder(PORT_FRAME_BYTES_MAX)
        self._messages.clear()
        bridge_line.send(self.line, ["port", epoch], [port.fileno(), output])
        port.close()
        os.close(output)

    def close(self) -> None:
        self.port.close()
        self.line.close()
        os.close(self.hot_fd)
        os.close(self.output)
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                self.kill(signal.SIGKILL)
            os.close(self._pidfd)


class Nursery:
    """A nursery's process and the brains that it forked for this test."""

    def __init__(self, target: str, environ: Mapping[str, str] | None = None) -> None:
        self.control, theirs = bridge_line.pair()
        self.control.settimeout(WAIT_S)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "osupervisor.brain.nursery", target],
            env={**os.environ, "PYTHONHASHSEED": "0", **(environ or {})},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=_as_descriptor_3(theirs.fileno()),
            close_fds=False,
        )
        theirs.close()
        self.exited: dict[int, int] = {}
        self._brains: list[BrainEnd] = []

    def said(self) -> Datagram | None:
        return bridge_line.receive(self.control)

    def expect_ready(self) -> Sequence[object]:
        """Version and schema."""
        found = self.said()
        assert found is not None and found.name == "ready", found
        return found.arguments

    def spawn(self, brain_id: str) -> BrainEnd:
        """A follower at LSN 0 that has said ready."""
        brain = self.brain_end()
        bridge_line.send(self.control, ["spawn", brain_id], brain.descriptors())
        brain.given()
        spawned = self._wait_for("spawned")
        assert spawned[0] == brain_id
        assert brain.expect_ready()["pid"] == spawned[1]
        return brain

    def brain_end(self) -> BrainEnd:
        """Ends for a brain that somebody else starts; closed with the nursery."""
        brain = BrainEnd()
        self._brains.append(brain)
        return brain

    def status_of(self, pid: int) -> int:
        """The exit status of a brain, as os.waitpid gives it."""
        while pid not in self.exited:
            found = self.said()
            assert found is not None and found.name == "exited", found
            self._note(found)
        return self.exited[pid]

    def close_brains(self) -> None:
        """End every brain that still lives."""
        for brain in self._brains:
            brain.close()
        self._brains.clear()

    def close(self) -> None:
        self.close_brains()
        self.control.close()
        self.process.wait(WAIT_S)
        if self.process.stderr is not None:
            self.process.stderr.close()

    def _wait_for(self, name: str) -> list[Any]:
        while True:
            found = self.said()
            assert found is not None, "the nursery is gone"
            if found.name == name:
                return found.arguments
            self._note(found)

    def _note(self, found: Datagram) -> None:
        pid, status = cast(list[int], found.arguments)
        self.exited[pid] = status


def _as_descriptor_3(descriptor: int) -> Callable[[], None]:
    """For the new process: all other descriptors of this one are close-on-exec."""

    def place() -> None:
        if descriptor == 3:
            os.set_inheritable(3, True)
        else:
            os.dup2(descriptor, 3)

    return place


_shared: dict[str, Nursery] = {}
"""Nurseries that tests share, by target: a start takes a hundred times as long as a spawn."""


@contextmanager
def nursery(target: str = f"{BRAINS}:Counter", private: bool = False) -> Generator[Nursery]:
    """A nursery that has said ready. Its brains end with the block, a private one itself too."""
    found = None if private else _shared.get(target)
    if found is None or found.process.poll() is not None:
        found = Nursery(target)
        found.expect_ready()
        if not private:
            _shared[target] = found
    try:
        yield found
    finally:
        if private:
            found.close()
        else:
            found.close_brains()


def close_shared() -> None:
    """End the shared nurseries."""
    for found in _shared.values():
        found.close()
    _shared.clear()
