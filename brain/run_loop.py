"""What a brain does all day: reads its port and does what it says, in order.

| state    | message                                    | then                                   |
|----------|--------------------------------------------|----------------------------------------|
| follower | record                                     | applied; lsn + 1                       |
|          | load                                       | state from descriptors; a new ready    |
|          | read, read_state                           | answered at once                       |
|          | lease, at the own lsn                      | primary                                |
| primary  | call, state                                | executed, response queued              |
|          | confirm                                    | undos forgotten; lsn moves             |
|          | fence                                      | undone; fenced; follower               |
| either   | checkpoint, spawn, with nothing unconfirmed | a fork                                |
| either   | kernel.ping; shutdown                      | answered; exit 0                       |
| either   | end of file on the port                    | fence, wait on the line for a new port |
| waiting  | a port on the line / end of file there     | ready, follower / exit 0               |

Responses are sent when no further call can be read, every 32, every 256 KiB, and with each beat
while an op lasts. Anything that is
not in the table is a bug of one side; the process ends with PortError rather than go on with a
state that is not that of its LSN.
"""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from osupervisor.brain import checkpoint, failure, fork
from osupervisor.brain.errors import PortError
from osupervisor.brain.executor import Executor
from osupervisor.brain.follower import Follower
from osupervisor.brain.fork import Between
from osupervisor.brain.heartbeat import Heartbeat
from osupervisor.brain.hot_mirror import HotMirror
from osupervisor.brain.lease import Lease
from osupervisor.brain.line import Line, close_all
from osupervisor.brain.load import DamagedError, files_of, load
from osupervisor.brain.loader import Loaded
from osupervisor.brain.output import take_output
from osupervisor.brain.port import Port
from osupervisor.vault_store.hot import HotReader, HotWriter

ABILITIES: Final = ["undo", "cell", "reattach", "fork"]
LINE_TIMEOUT_S: Final = 5.0
"""A datagram is sent before the message that names it; this bounds the wait for a bug."""
FEW_RESPONSES: Final = 2
"""So few were made in so short a time that asking whether more can be read takes longer."""
EXIT_DAMAGED: Final = 70


class Birth(Exception):
    """In a spawned follower: unwinds the parent's loop; `descriptors` are the new process's own."""

    def __init__(self, brain_id: Any, follower: Follower, descriptors: list[int]) -> None:
        super().__init__(brain_id)
        self.brain_id = brain_id
        self.follower = follower
        self.descriptors = descriptors


class Shutdown(Exception):
    """The supervisor asked the brain to end."""


@dataclass(slots=True)
class Life:
    """What a process and those that it spawns have in common: the code, and the state so far."""

    loaded: Loaded
    executor: Executor
    follower: Follower
    mirror: HotMirror
    forks: int = 0
    """So many were made, here and by those that this process descends from."""


class RunLoop:
    """One brain process. `port` and `line` are connected; `hot_fd` is its own segment."""

    def __init__(self, brain_id: Any, life: Life, descriptors: list[int]) -> None:
        port_fd, line_fd, hot_fd, output_fd = descriptors
        take_output(output_fd)
        self.brain_id = brain_id
        self._loaded = life.loaded
        self._executor = life.executor
        self._follower = life.follower
        self._lease: Lease | None = None
        self._children: set[int] = set()
        self._births: list[tuple[Any, Between]] = []
        """Followers asked for, by id, of which it is not known yet whether they could be made. Nil
        for those of a dead supervisor: the next one counts its brains anew."""
        self._life = life
        self._port = Port(socket.socket(fileno=port_fd))
        self._line = Line(socket.socket(fileno=line_fd))
        self._hot = HotWriter(hot_fd)
        self._heartbeat = Heartbeat(
            self._hot, HotReader(hot_fd), life.executor.activity, lambda: self._port.flush()
        )
        os.close(hot_fd)
        self._mirror = life.mirror
        self._mirror.writer = self._hot
        self._handlers: dict[Any, Callable[[Any], None]] = {
            "record": self._on_record,
            "confirm": self._on_confirm,
            "lease": self._on_lease,
            "fence": self._on_fence,
            "load": self._on_load,
            "checkpoint": self._on_checkpoint,
            "spawn": self._on_spawn,
            "shutdown": self._on_shutdown,
        }

    def run(self) -> int:
        """Serve until the end; the exit code. Raises Birth in a process that it spawned."""
        self._heartbeat.start()
        self._say_ready()
        try:
            while True:
                self._serve_port()
                self._fence()
                descriptors = self._line.new_port()
                if descriptors is None:
                    return 0
                self._attach(descriptors)
        except Shutdown:
            return 0
        except DamagedError as damage:
            self._port.send([2, "damaged", [damage.report]])
            return EXIT_DAMAGED

    def _serve_port(self) -> None:
        """Until end of file."""
        port = self._port
        while True:
            found = None if port.responses <= FEW_RESPONSES else port.receive(wait=False)
            if found is None:
                port.flush()
                found = port.receive(wait=True)
            if not found:
                return
            for message in port.messages():
                if len(message) != 4:
                    self._notification(message)
                elif message[2] == "call" and self._lease is not None:
                    self._lease.call(port, message[1], message[3])
                else:
                    self._request(message)
            self._hot.beat()
            if self._births:
                self._tell_births()

    def _notification(self, message: Any) -> None:
        handler = self._handlers.get(message[1])
        if handler is None:
            raise PortError(f"found the message {message[1]!r:.80}, which nobody knows")
        handler(message[2])

    def _request(self, message: Any) -> None:
        """Any request but a call of the primary."""
        _kind, n, method, params = message
        if method == "state" and self._lease is not None:
            self._lease.state(self._port, n, params)
        elif method == "kernel.ping":
            self._reap()
            self._port.send(
                [1, n, None, {"lsn": self._follower.lsn, "epoch": self._follower.epoch}]
            )
        elif method == "read":
            self._read(n, self._executor.read, params[0])
        elif method == "read_state":
            self._read(n, self._executor.state, params[0])
        elif method == "undecodable" and params.method in ("read", "read_state"):
            self._answer_read(n, failure.undecodable(params.reason))
        elif method == "undecodable" and self._lease is not None:
            self._lease.refuse(self._port, n, params)
        else:
            raise PortError(f"found the request {method!r:.80}, and the brain is {self._role()}")

    def _read(self, message_id: Any, how: Callable[[Any], bytes], what: Any) -> None:
        """Without a lease; it stands in the cell, as a long one is no silence."""
        self._hot.enter(message_id)
        outcome = how(what)
        self._hot.leave()
        self._answer_read(message_id, outcome)

    def _answer_read(self, message_id: int, outcome: bytes) -> None:
        self._port.send([1, message_id, None, [0, outcome]])

    def _on_record(self, params: Any) -> None:
        if self._lease is not None:
            raise PortError("found a record, and the brain is the primary")
        self._follower.apply(params[0])
        self._hot.set_lsn(self._follower.lsn)

    def _on_confirm(self, params: Any) -> None:
        if self._lease is None:
            raise PortError("found a confirm, and the brain is a follower")
        n, lsn = params
        self._lease.confirm(n)
        self._follower.lsn = lsn
        self._follower.epoch = self._lease.epoch
        self._hot.set_lsn(lsn)

    def _on_lease(self, params: Any) -> None:
        epoch, lsn = params
        if lsn != self._follower.lsn or (self._lease is not None and self._lease.unconfirmed):
            raise PortError(f"found a lease at LSN {lsn}; the brain is at {self._follower.lsn}")
        self._lease = Lease(self._executor, self._hot, epoch)
        self._follower.epoch = epoch
        self._mirror.replace()

    def _on_fence(self, _params: Any) -> None:
        self._fence()
        self._port.send([2, "fenced", [self._follower.lsn]])

    def _on_load(self, params: Any) -> None:
        if self._lease is not None:
            raise PortError("found a load, and the brain is the primary")
        wanted = files_of(params[0])
        descriptors: list[int] = []
        try:
            while True:
                descriptors += self._line.descriptors("load", [], LINE_TIMEOUT_S)
                if len(descriptors) >= wanted:
                    break
            load(self._follower, params[0], descriptors)
        finally:
            close_all(descriptors)
        self._hot.set_lsn(self._follower.lsn)
        self._say_ready()

    def _on_checkpoint(self, params: Any) -> None:
        lsn: int = params[0]
        level: int = params[1] if len(params) > 1 else checkpoint.DEFAULT_LEVEL
        self._check_idle("checkpoint")
        if lsn != self._follower.lsn:
            raise PortError(f"a checkpoint of LSN {lsn}; the brain is at {self._follower.lsn}")
        descriptors = self._line.descriptors("checkpoint", [lsn], LINE_TIMEOUT_S)
        if not descriptors:
            return  # called off: there is no file to write
        file_fd, pipe_fd = descriptors
        self._port.flush()
        self._count_fork(thaws=self._lease is None)
        tree = self._executor.tree
        try:
            pid = fork.fork_child(
                lambda: checkpoint.write(file_fd, pipe_fd, tree, lsn, level), [file_fd, pipe_fd]
            )
        except OSError as error:
            # The supervisor sees that nobody holds the pipe, and tries again later.
            print(f"the checkpoint of LSN {lsn} could not be forked: {error}", file=sys.stderr)
        else:
            self._children.add(pid)
        close_all([file_fd, pipe_fd])

    def _on_spawn(self, params: Any) -> None:
        brain_id = params[0]
        self._check_idle("spawn")
        descriptors = self._line.descriptors("spawn", [brain_id], LINE_TIMEOUT_S)
        if not descriptors:
            return  # called off: there is nothing that a follower could be born with
        self._port.flush()
        self._count_fork(thaws=False)
        try:
            between = fork.fork_grandchild(descriptors)
        except OSError as error:
            # The supervisor sees that nobody holds the new port, and decides what to do.
            self._say_unborn(brain_id, str(error))
        else:
            if between is None:
                self._forget_parent()
                raise Birth(brain_id, self._follower, descriptors)
            self._births.append((brain_id, between))
        close_all(descriptors)

    def _count_fork(self, *, thaws: bool) -> None:
        """`thaws`: there is time to. Else it is done in time: each fork freezes all that there is,
        and what is taken out of the state then would stay for good."""
        self._life.forks += 1
        if thaws or self._life.forks % fork.FORKS_PER_THAW == 0:
            fork.thaw()

    def _tell_births(self) -> None:
        """Say which process a follower is, as soon as that is known."""
        births, self._births = self._births, []
        for brain_id, between in births:
            pid = between.grandchild()
            if pid is None:
                self._births.append((brain_id, between))
            elif brain_id is None:
                continue
            elif pid:
                self._port.send([2, "spawned", [brain_id, pid]])
            else:
                self._say_unborn(brain_id, "the process between could not fork")

    def _say_unborn(self, brain_id: Any, why: str) -> None:
        print(f"follower {brain_id} could not be forked: {why}", file=sys.stderr)

    def _on_shutdown(self, _params: Any) -> None:
        raise Shutdown

    def _fence(self) -> None:
        """Follow from here on, at the last LSN confirmed."""
        self._port.drop()
        if self._lease is not None:
            self._lease.fence()
            self._lease = None

    def _attach(self, descriptors: list[int]) -> None:
        """Go on with a new supervisor: `descriptors` are port and output pipe."""
        port_fd, output_fd = descriptors
        self._births = [(None, between) for _, between in self._births]
        self._port.close()
        take_output(output_fd)
        self._port = Port(socket.socket(fileno=port_fd))
        self._say_ready()

    def _say_ready(self) -> None:
        fork.guard(self._port.connection.fileno(), self._line.connection.fileno())
        self._hot.beat()
        self._hot.set_lsn(self._follower.lsn)
        ready = {
            "id": self.brain_id,
            "pid": os.getpid(),
            "version": self._loaded.version,
            "schema": self._loaded.schema,
            "lsn": self._follower.lsn,
            "epoch": self._follower.epoch,
            "abilities": ABILITIES,
        }
        self._port.send([2, "ready", [ready]])

    def _forget_parent(self) -> None:
        """In a spawned process: its parent's sockets and segment are closed; forget them."""
        self._heartbeat.forget_in_child()
        self._port.connection.detach()
        self._line.connection.detach()
        self._hot.forget_in_child()

    def _check_idle(self, what: str) -> None:
        if self._lease is not None and self._lease.unconfirmed:
            raise PortError(f"found {what} with {self._lease.unconfirmed} calls unconfirmed")

    def _reap(self) -> None:
        """Collect checkpoint children that have ended."""
        for pid in list(self._children):
            try:
                has_ended = os.waitpid(pid, os.WNOHANG)[0] == pid
            except ChildProcessError:
                has_ended = True  # an author's op that waits for any child has reaped it
            if has_ended:
                self._children.discard(pid)

    def _role(self) -> str:
        return "a follower" if self._lease is None else "the primary"
