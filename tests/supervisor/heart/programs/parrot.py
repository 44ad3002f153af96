"""A tiny supervisor: it speaks heart's protocols and does what it is told on its socket.

One line in, one line of JSON out. Its arguments are commands that it carries out before READY=1.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from osupervisor.supervisor.heart.launch import Inheritance, receive_inheritance
from osupervisor.supervisor.heart.revive import revive

FOR_EVER_S = 3600


class Parrot:
    def __init__(self, inheritance: Inheritance) -> None:
        self.inheritance = inheritance
        self.was_spare = "was-spare" in sys.argv
        self.hups = 0
        self.silent = False
        self.commands: dict[str, Callable[[str], object]] = {
            "who": self.who,
            "store": self.store,
            "read": self.read,
            "remove": self.remove,
            "barrier": lambda text: self.inheritance.notify.barrier(5.0),
            "status": lambda text: self.inheritance.notify.status(text),
            "extend": lambda text: self.inheritance.notify.extend(float(text)),
            "die": lambda text: os.kill(os.getpid(), signal.SIGKILL),
            "exit": lambda text: os._exit(int(text)),
            "sleep": lambda text: time.sleep(float(text)),
            "silence": self.silence,
            "refuse": self.refuse,
            "stop": self.stop,
            "brain": self.brain,
            "orphan": self.orphan,
            "deaf": lambda text: signal.signal(signal.SIGTERM, signal.SIG_IGN) and None,
            "tell": self.tell,
            "molt": self.molt,
            "complain": lambda text: print(text, file=sys.stderr, flush=True),
        }

    def run(self) -> None:
        signal.signal(signal.SIGHUP, self.hup)
        for word in sys.argv[1:]:
            self.answer(word)
        self.inheritance.notify.status("parroting")
        self.inheritance.notify.ready()
        poll = select.poll()
        for listener in self.inheritance.listeners.values():
            poll.register(listener, select.POLLIN)
        self.watch_heart(poll)
        while True:
            self.turn(poll)

    def turn(self, poll: "select.poll") -> None:
        period_s = (self.inheritance.watchdog_s or 1.0) / 4
        for fd, _ in poll.poll(period_s * 1000):
            if self.inheritance.heart is not None and fd == self.inheritance.heart.pidfd:
                poll.unregister(fd)
                self.inheritance = revive(self.inheritance)
                self.watch_heart(poll)
                continue
            for listener in self.inheritance.listeners.values():
                if fd == listener.fileno():
                    self.serve(listener)
        if not self.silent:
            self.inheritance.notify.watchdog()

    def watch_heart(self, poll: "select.poll") -> None:
        if self.inheritance.heart is not None:
            poll.register(self.inheritance.heart.pidfd, select.POLLIN)

    def serve(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        with client, client.makefile("rw") as file:
            client.settimeout(5)
            line = file.readline().strip()
            if line:
                file.write(json.dumps(self.answer(line)) + "\n")
                try:
                    file.flush()
                except OSError:
                    return

    def answer(self, line: str) -> object:
        command, _, text = line.partition(" ")
        return self.commands[command](text)

    def who(self, text: str) -> object:
        return {
            "pid": os.getpid(),
            "session": os.getsid(0),
            "spare": "OSUPERVISOR_WAS_SPARE" in os.environ,
            "listeners": sorted(self.inheritance.listeners),
            "stored": sorted(self.inheritance.notify.stored),
            "unsent": self.inheritance.notify.unsent,
            "watchdog_s": self.inheritance.watchdog_s,
            "hups": self.hups,
            "predecessor": self.predecessor(),
            "environ": sorted(os.environ),
            "fds": sorted(os.listdir("/proc/self/fd")),
        }

    def predecessor(self) -> object:
        dead = self.inheritance.predecessor
        return None if dead is None else [dead.pid, dead.status]

    def hup(self, signum: int, frame: object) -> None:
        self.hups += 1

    def store(self, name: str) -> object:
        fd = os.memfd_create(name)
        os.write(fd, name.encode())
        self.inheritance.notify.store(name, fd)
        return self.inheritance.notify.unsent

    def read(self, name: str) -> object:
        fd = self.inheritance.notify.stored[name]
        return os.pread(fd, 1000, 0).decode()

    def remove(self, name: str) -> object:
        fd = self.inheritance.notify.stored[name]
        self.inheritance.notify.remove(name)
        os.close(fd)
        return self.inheritance.notify.unsent

    def silence(self, text: str) -> object:
        self.silent = True
        return None

    def refuse(self, message: str) -> object:
        self.inheritance.notify.refuse(message)
        os._exit(78)

    def stop(self, text: str) -> object:
        self.inheritance.notify.stopping()
        os._exit(0)

    def brain(self, name: str) -> object:
        """A process that only its pidfd in the store leads to, as it is no child of heart's."""
        brain = subprocess.Popen(["sleep", str(FOR_EVER_S)], start_new_session=True)
        self.inheritance.notify.store(f"brain.{name}.pidfd", os.pidfd_open(brain.pid))
        return brain.pid

    def orphan(self, text: str) -> object:
        """A daemon: its parent ends at once."""
        script = f"sleep {FOR_EVER_S} >/dev/null 2>&1 & echo $!"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        return int(done.stdout)

    def molt(self, text: str) -> object:
        """Go on in a child; the parent ends when heart knows."""
        pid = os.fork()
        if pid != 0:
            self.tell(f"MAINPID={pid}")
            self.inheritance.notify.barrier(5.0)
            os._exit(0)
        return os.getpid()

    def tell(self, text: str) -> object:
        """A raw notification."""
        return self.inheritance.notify._send(dict([text.split("=", 1)]))  # pyright: ignore


if __name__ == "__main__":
    if "OSUPERVISOR_SPARE_FD" in os.environ:
        os.environ["OSUPERVISOR_WAS_SPARE"] = "1"
    Parrot(receive_inheritance()).run()
