"""Inside the virtual machine: starts the service and loads it, until the power goes.

Told over the serial port, a line each, as soon as it is so:

    found WHO NUMBER    entries of a client in the state that the start found; `found wrong ...`
    ready
    kept WHO NUMBER TOTAL       the reply to this entry has come
    killed TARGET       a process of the service was
    failed ...          and this is the end of the load

Its environment, from the kernel's command line: SETTINGS (joined by `;`), CLIENTS, DEPTH (calls in
flight of each), KILL_S (time between two deaths of processes; 0: none).
"""

import collections
import itertools
import os
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Final

from benchmarks.power_cut.ledger import text, wrong
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError
from osupervisor.bridge.pending import Reply

DATA: Final = "/disk/data"
TARGET: Final = f"{Path(__file__).with_name('ledger.py')}:Ledger"
SCRIPT: Final = Path(__file__).parents[2] / "site/bin/osupervisor"
WINDOW: Final = 1000
PATIENCE_S: Final = 600
VICTIMS: Final = ("primary", "supervisor", "standby", "primary", "heart")


class Port:
    """The serial port, for several threads."""

    def __init__(self) -> None:
        path = next(Path("/dev").glob("vport*p1"))
        self._fd = os.open(path, os.O_WRONLY)
        self._lock = threading.Lock()

    def tell(self, *words: object) -> None:
        line = " ".join(map(str, words)).replace("\n", " / ") + "\n"
        with self._lock:
            os.write(self._fd, line.encode())


def start(settings: str) -> None:
    """Raises CalledProcessError."""
    command = [sys.executable, str(SCRIPT), "start", TARGET, "--daemon", f"--data={DATA}"]
    changes = [f"--set={setting}" for setting in settings.split(";")]
    subprocess.run([*command, f"--timeout={PATIENCE_S}s", *changes], check=True)


def enter(client: Client, who: str, first: int, depth: int, port: Port) -> None:
    """Entries from `first` on, `depth` in flight, each under a key that names it."""
    flight: collections.deque[tuple[int, Reply]] = collections.deque()
    for number in itertools.count(first):
        pipeline = client.with_options(key=f"{who} {number}", timeout_s=PATIENCE_S).pipeline(WINDOW)
        flight.append((number, pipeline.call("enter", who, number, text(who, number))))
        pipeline.flush()
        if len(flight) >= depth:
            kept, reply = flight.popleft()
            port.tell("kept", who, kept, reply.result())


def kill(every_s: float, port: Port) -> None:
    """One process after the other, each time another role."""
    with Client(DATA, timeout_s=10) as client:
        for victim in itertools.cycle(VICTIMS):
            time.sleep(every_s)
            try:
                client.request("system.chaos", ["kill", victim])
            except BridgeError:  # on its way back from the last one, or the one that was asked
                continue
            port.tell("killed", victim)


def found(port: Port, clients: list[str]) -> dict[str, int]:
    """The number of each client's last entry."""
    with Client(DATA, timeout_s=PATIENCE_S) as client:
        state = client.state()
    for error in wrong(state, {}):
        port.tell("found", "wrong", error)
    numbers = {who: state[who]["number"] if who in state else 0 for who in clients}
    for who, number in numbers.items():
        port.tell("found", who, number)
    return numbers


def main() -> None:
    port = Port()
    try:
        start(os.environ["SETTINGS"])
        clients = [f"client-{number}" for number in range(int(os.environ["CLIENTS"]))]
        numbers = found(port, clients)
        port.tell("ready")
        if every_s := float(os.environ["KILL_S"]):
            threading.Thread(target=kill, args=(every_s, port), daemon=True).start()
        depth = int(os.environ["DEPTH"])
        for who in clients[1:]:
            arguments = (Client(DATA), who, numbers[who] + 1, depth, port)
            threading.Thread(target=enter, args=arguments, daemon=True).start()
        enter(Client(DATA), clients[0], numbers[clients[0]] + 1, depth, port)
    except BaseException as error:
        traceback.print_exc()
        port.tell("failed", repr(error))
        raise


if __name__ == "__main__":
    threading.excepthook = lambda thrown: (
        traceback.print_exception(thrown.exc_value),
        os._exit(1),
    )[0]
    main()
