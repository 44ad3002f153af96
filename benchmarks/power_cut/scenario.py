"""What is loaded, and on what: file systems, settings, deaths of processes beside the load."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.power_cut.ledger import Expected

PATIENT: Final = {
    # Emulated, everything takes ten times as long; and keys are asked again a day later.
    "heart.watchdog_s": "10m",
    "health.silence_s": "10m",
    "health.suspicion_s": "5m",
    "brain.start_timeout_s": "10m",
    "brain.reattach_timeout_s": "1m",
    "op.timeout_s": "5m",
    "op.wait_timeout_s": "10m",
    "idempotency.window_s": "1d",
    "health.disk_free_bytes_min": "0",
}
SMALL: Final = {
    # Segments begin, checkpoints are written and both are removed all the time.
    **PATIENT,
    "wal.segment_bytes_max": "64KiB",
    "checkpoint.interval_s": "2s",
    "tape.keep": "0",
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """`kill_s`: time between two deaths of processes in the machine; 0: none dies."""

    name: str
    durability: str
    changes: Mapping[str, str]
    filesystem: str = "ext4"
    mount_options: str = "rw"
    kill_s: float = 0.0
    expected: dict[str, Expected] = field(default_factory=dict[str, Expected])

    @property
    def settings(self) -> dict[str, str]:
        return {"durability": self.durability, **self.changes}

    @property
    def always(self) -> bool:
        return self.durability == "always"


SCENARIOS: Final = (
    Scenario("ext4-always", "always", SMALL),
    Scenario("ext4-everysec", "everysec", SMALL),
    Scenario("ext4-always-defaults", "always", PATIENT),
    Scenario("ext4-everysec-defaults", "everysec", PATIENT),
    Scenario("ext4-always-deaths", "always", SMALL, kill_s=8.0),
    Scenario("ext4-journal-always", "always", SMALL, mount_options="data=journal"),
    Scenario("ext4-writeback-everysec", "everysec", PATIENT, mount_options="data=writeback"),
    Scenario("xfs-always", "always", SMALL, filesystem="xfs"),
    Scenario("xfs-everysec", "everysec", SMALL, filesystem="xfs", kill_s=8.0),
)
