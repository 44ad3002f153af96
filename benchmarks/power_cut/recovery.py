"""A service started on what a power cut left, and its state beside what was told before the cut."""

import contextlib
import subprocess
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.power_cut.events import TOLD, Event
from benchmarks.power_cut.ledger import text, wrong
from benchmarks.power_cut.scenario import Scenario
from benchmarks.service import Service, ServiceFailed, Status
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import BridgeError
from osupervisor.vault_store.checkpoint import CheckpointStore
from osupervisor.vault_store.errors import CorruptCheckpointError
from osupervisor.wal.storage import DirectoryStorage
from osupervisor.wal.verify import verify

TARGET: Final = f"{Path(__file__).with_name('ledger.py')}:Ledger"


@dataclass(frozen=True, slots=True)
class Kept:
    """A reply that had come: the entry's number, the count of all that it told, and when."""

    number: int
    total: int
    at: float


@dataclass(slots=True)
class Told:
    """All that was told over the serial port, up to some event."""

    kept: dict[str, list[Kept]] = field(default_factory=dict[str, list[Kept]])
    troubles: list[str] = field(default_factory=list[str])

    def hear(self, event: Event) -> None:
        if event.kind != TOLD:
            return
        match event.data.decode().split(" "):
            case ["kept", who, number, total]:
                self.kept.setdefault(who, []).append(Kept(int(number), int(total), event.at))
            case ["found", who, number] if who != "wrong":
                self._found(who, int(number))
            case ["found" | "failed", *_]:
                self.troubles.append(event.data.decode())
            case _:
                pass

    def _found(self, who: str, number: int) -> None:
        kept = self.kept.get(who, [])
        if kept and kept[-1].number > number:
            self.troubles.append(f"a start found {number} of {who}, {kept[-1].number} were kept")

    def copy(self) -> "Told":
        kept = {who: list(entries) for who, entries in self.kept.items()}
        return Told(kept, list(self.troubles))


@dataclass(slots=True)
class Verdict:
    """What was found after one cut. `wrong` must be empty."""

    wrong: list[str] = field(default_factory=list[str])
    lost: int = 0
    lost_s: float = 0.0
    """Age of the oldest lost reply when the power went; only with `everysec` may there be one."""
    torn: bool = False
    leftovers: int = 0
    """Half made segments."""
    unfinished: int = 0
    """Half made checkpoints."""
    unanswered: int = 0
    """Entries that were recovered, and whose replies had not come."""
    took_s: float = 0.0


@contextlib.contextmanager
def mounted(image: Path, scenario: Scenario, place: Path) -> Generator[Path, None, None]:
    """The data directory in an image; the kernel recovers its file system first."""
    options = f"loop,{scenario.mount_options}"
    filesystem = ["-t", scenario.filesystem]
    subprocess.run(["mount", *filesystem, "-o", options, str(image), str(place)], check=True)
    try:
        yield place / "data"
    finally:
        for _ in range(50):
            if subprocess.run(["umount", str(place)], capture_output=True).returncode == 0:
                break
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{place} can't be unmounted")


def judge(data: Path, scenario: Scenario, told: Told, cut_at: float) -> Verdict:
    """Start a service on `data`, look, ask again, kill it, look again."""
    verdict = Verdict(wrong=list(told.troubles))
    began = time.monotonic()
    _look(data, verdict, before=True)
    service = Service(scenario.settings, started=False, target=TARGET, data=data)
    with service:
        try:
            service.start()
            service.wait(_serves, 60)
            with service.client() as client:
                state: dict[str, Any] = client.state()
                verdict.wrong += wrong(state, scenario.expected)
                compare(state, scenario.always, told, cut_at, verdict)
                _ask_again(client, state, told, verdict)
        except (ServiceFailed, BridgeError) as error:
            verdict.wrong.append(f"{type(error).__name__}: {error}")
    _look(data, verdict, before=False)
    verdict.took_s = time.monotonic() - began
    return verdict


def _serves(status: Status) -> bool:
    return str(status["state"]) == "ready"


def _look(data: Path, verdict: Verdict, *, before: bool) -> None:
    """What `wal verify` and `checkpoints verify` say."""
    report = verify(DirectoryStorage(data / "wal"))
    verdict.wrong += [f"the log is damaged: {damage}" for damage in report.damage]
    store = CheckpointStore(data / "checkpoints")
    for entry in store.ls():
        try:
            store.verify(entry.lsn)
        except CorruptCheckpointError as error:
            verdict.wrong.append(f"a checkpoint is damaged: {error}")
    if before:
        verdict.torn = report.torn is not None
        verdict.leftovers = sum(name.endswith(".tmp") for name in report.leftovers)
        verdict.unfinished = len(list(data.glob("checkpoints/*.tmp")))


def compare(
    state: dict[str, Any], always: bool, told: Told, cut_at: float, verdict: Verdict
) -> None:
    """The state is a prefix of the order that replies told of, and has all that it must have."""
    total = state.get("total", 0)
    for who, entries in told.kept.items():
        last = state[who]["number"] if who in state else 0
        for kept in entries:
            if (kept.number <= last) != (kept.total <= total):
                verdict.wrong.append(f"a gap: {who} has {last}, all are {total}, but {kept}")
                break
        missing = [kept for kept in entries if kept.number > last]
        verdict.lost += len(missing)
        verdict.unanswered += max(0, last - entries[-1].number)
        if missing:
            verdict.lost_s = max(verdict.lost_s, cut_at - missing[0].at)
        if missing and always:
            verdict.wrong.append(f"{who}: {last} entries, {entries[-1].number} were kept")


def _ask_again(client: Client, state: dict[str, Any], told: Told, verdict: Verdict) -> None:
    """The last entry under its key is the same one; the next is a new one."""
    total = state.get("total", 0)
    for who in told.kept:
        last = state[who]["number"] if who in state else 0
        answers = [_enter(client, who, number) for number in (last, last + 1) if number]
        total += 1
        before = next((kept.total for kept in told.kept[who] if kept.number == last), None)
        if answers[-1] != total:
            verdict.wrong.append(f"{who}: entry {last + 1} made {answers[-1]}, not {total}")
        if before is not None and answers[0] != before:
            verdict.wrong.append(f"{who}: entry {last} again made {answers[0]}, not {before}")


def _enter(client: Client, who: str, number: int) -> Any:
    asked = client.with_options(key=f"{who} {number}", timeout_s=30)
    return asked.call("enter", who, number, text(who, number))
