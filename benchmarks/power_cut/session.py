"""Recordings: a machine under load on a disk, from its first write to the cut of its power."""

import contextlib
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.power_cut import events, machine
from benchmarks.power_cut.disk import Disk
from benchmarks.power_cut.events import Event, Recording
from benchmarks.power_cut.recovery import Told
from benchmarks.power_cut.scenario import Scenario

DISK_BYTES: Final = 512 * 1024 * 1024
START_S: Final = 900.0
"""An emulated machine, with Python, a service and a first checkpoint."""
CLIENTS: Final = 3
DEPTH: Final = 6


@dataclass(slots=True)
class Session:
    """One recording: what the disk held before it, what had been told by then, what happened."""

    scenario: Scenario
    image: Path
    before: Told
    happened: list[Event]


class Yard:
    """Where it all happens: a folder, and a machine that is built once."""

    def __init__(self, folder: Path, kernel: Path, seconds: float, seed: int) -> None:
        """`kernel`: where one was unpacked; `seconds` of load; `seed` of the disks' delays."""
        self.folder = folder
        self._kernel = kernel
        self._seconds = seconds
        self._seed = seed
        self._built: tuple[Path, Path] | None = None
        self.mount = folder / "mounted"
        self.mount.mkdir(exist_ok=True)

    def session(self, scenario: Scenario, name: str, fresh: Callable[[Path], Told]) -> Session:
        """The recording called `name`; `fresh` makes its first image and says what was told."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        image, path = folder / "image", folder / "events"
        told = fresh(image)
        if not path.exists():
            begun = folder / "events.begun"
            self._record(scenario, image, folder, begun)
            begun.rename(path)
        return Session(scenario, image, told, events.read(path))

    def _record(self, scenario: Scenario, image: Path, folder: Path, path: Path) -> None:
        if self._built is None:
            self._built = machine.build(self._kernel, self.folder)
        seen, recording = folder / "seen", Recording(path)
        copy(image, seen)
        with contextlib.closing(Disk(seen, folder, recording, self._seed)) as disk:
            output = folder / "console"
            environment = environment_of(scenario)
            runs = machine.started(self._built, environment, disk.disk_path, disk.port_path, output)
            try:
                disk.serve(Patience(disk, self._seconds).is_over)
            finally:
                machine.cut_power(runs)
                recording.close()
        for name in ("seen", "disk.sock", "port.sock"):
            (folder / name).unlink()
        if "ready" not in disk.lines:
            end = output.read_text(errors="replace")[-2000:]
            raise SystemExit(f"{scenario.name}: the service in the machine did not start: {end}")


class Patience:
    """Waits for the load to begin, then for so many seconds."""

    def __init__(self, disk: Disk, seconds: float) -> None:
        self._disk = disk
        self._seconds = seconds
        self._limit = time.monotonic() + START_S
        self._loaded = False

    def is_over(self) -> bool:
        if not self._loaded and "ready" in self._disk.lines:
            self._loaded = True
            self._limit = time.monotonic() + self._seconds
        return time.monotonic() > self._limit


def environment_of(scenario: Scenario) -> dict[str, object]:
    return {
        "FILESYSTEM": scenario.filesystem,
        "MOUNT_OPTIONS": scenario.mount_options,
        "SETTINGS": ";".join(f"{name}={value}" for name, value in scenario.settings.items()),
        "CLIENTS": CLIENTS,
        "DEPTH": DEPTH,
        "KILL_S": scenario.kill_s,
    }


def empty(scenario: Scenario) -> Callable[[Path], Told]:
    """Makes a new disk, of which nothing was told."""

    def make(image: Path) -> Told:
        if not image.exists():
            with image.open("wb") as file:
                file.truncate(DISK_BYTES)
            quiet = {"ext4": ["-q", "-F"], "xfs": ["-q", "-f"]}[scenario.filesystem]
            subprocess.run([f"mkfs.{scenario.filesystem}", *quiet, str(image)], check=True)
        return Told()

    return make


def copy(source: Path, target: Path) -> None:
    """Holes stay holes."""
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)
