"""Every setting as a value: its name, type, bounds and default. No reading, no parsing.

* Standard library and `annotated_types` only: the supervisor's process imports this, and must
  not pay for pydantic. `catalogue` reads the bounds; tests hand these same classes to pydantic.
* Names end in their unit: `_s` seconds (float), `_bytes` bytes (int). In a file both may be
  texts ("5m", "64MiB"); here they are numbers.
* A setting that can be off is off at its empty value: "" or 0. TOML has no null.
* `default.toml` repeats every default and gives its reason; a test holds the two together.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen


class Unit(Enum):
    """What a setting's number counts. Texts, flags and choices have none."""

    SECONDS = "seconds"
    BYTES = "bytes"
    COUNT = "count"
    SHARE = "share"


class Form(Enum):
    """What a text must look like. `load` makes a path absolute, and the file in a target."""

    PATH = "path"
    ADDRESS = "address"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Key:
    """The name of a setting in files, where it isn't its attribute's name."""

    name: str


KIB, MIB, GIB = 1024, 1024**2, 1024**3
DAY_S = 86_400

Seconds = Annotated[float, Unit.SECONDS]
Wait = Annotated[Seconds, Ge(0.001), Le(DAY_S)]
"""Under 1 ms is no wait that a loop can keep; beyond a day nobody is waiting any more."""
Bytes = Annotated[int, Unit.BYTES]
Count = Annotated[int, Unit.COUNT]
Share = Annotated[float, Unit.SHARE, Ge(0.01), Le(1)]
"""Of a whole; below a hundredth nothing here is measured."""
Path = Annotated[str, Form.PATH]
Address = Annotated[str, Form.ADDRESS]

Durability = Literal["everysec", "always"]
Profile = Literal["", "dev", "prod", "test"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Op:
    """One call of an op: how long it may wait and run, how often it may kill its brain."""

    timeout_s: Wait = 30.0
    wait_timeout_s: Wait = 60.0
    strikes_max: Annotated[Count, Ge(1), Le(100)] = 3


@dataclass(frozen=True, slots=True)
class Wal:
    """The log: its segments, its fsync, what of it stays in memory."""

    segment_bytes_max: Annotated[Bytes, Ge(64 * KIB), Le(4 * GIB)] = 64 * MIB
    sync_interval_s: Annotated[Seconds, Ge(0.001), Le(60)] = 1.0
    retained_bytes_max: Annotated[Bytes, Ge(64 * KIB), Le(GIB)] = 8 * MIB
    heal_interval_s: Annotated[Seconds, Ge(0.01), Le(60)] = 1.0


@dataclass(frozen=True, slots=True)
class Tape:
    """How much of the log is kept behind the oldest checkpoint, for replay."""

    keep_s: Annotated[Seconds, Ge(0), Le(36_500 * DAY_S), Key("keep")] = 7.0 * DAY_S
    bytes_max: Annotated[Bytes, Ge(0)] = 10 * GIB


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """When a checkpoint is written, how it is packed, how many stay."""

    interval_s: Annotated[Seconds, Ge(0.1), Le(30 * DAY_S)] = 300.0
    wal_bytes: Annotated[Bytes, Ge(64 * KIB)] = 256 * MIB
    kept: Annotated[Count, Ge(1), Le(1000)] = 3
    level: Annotated[Count, Ge(1), Le(19)] = 3
    timeout_s: Wait = 600.0


@dataclass(frozen=True, slots=True)
class Idempotency:
    """How long the answer to a key is remembered, and for how many keys and clients."""

    window_s: Annotated[Seconds, Ge(0.1), Le(30 * DAY_S)] = 600.0
    keys_max: Annotated[Count, Ge(1), Le(10_000_000)] = 50_000
    clients_max: Annotated[Count, Ge(1), Le(10_000_000)] = 20_000


@dataclass(frozen=True, slots=True)
class Deadletter:
    """Requests that were quarantined: how many are kept."""

    kept: Annotated[Count, Ge(1), Le(1_000_000)] = 1000


@dataclass(frozen=True, slots=True)
class Health:
    """When a brain is suspected, when it is killed, when the service counts as degraded."""

    ping_interval_s: Annotated[Seconds, Ge(0.01), Le(3600)] = 1.0
    suspicion_s: Annotated[Seconds, Ge(0.01), Le(3600)] = 1.0
    silence_s: Annotated[Seconds, Ge(0.1), Le(3600)] = 5.0
    sample_interval_s: Annotated[Seconds, Ge(0.1), Le(3600)] = 1.0
    cpu_share_max: Share = 0.95
    cpu_period_s: Annotated[Seconds, Ge(0.1), Le(3600)] = 30.0
    rss_share_max: Share = 0.8
    queue_share_max: Share = 0.5
    disk_free_bytes_min: Annotated[Bytes, Ge(0)] = GIB


@dataclass(frozen=True, slots=True)
class Brain:
    """The brain processes: how many, how they start and stop, what they may take."""

    standbys: Annotated[Count, Ge(0), Le(16)] = 1
    start_timeout_s: Wait = 30.0
    start_failures_max: Annotated[Count, Ge(1), Le(1000)] = 5
    start_failures_period_s: Annotated[Seconds, Ge(1), Le(3600)] = 30.0
    shutdown_s: Wait = 5.0
    reattach_timeout_s: Annotated[Seconds, Ge(0.01), Le(60)] = 1.0
    memory_bytes_max: Annotated[Bytes, Ge(0)] = 0
    output_bytes_per_s: Annotated[Bytes, Ge(KIB), Le(GIB)] = MIB
    output_line_bytes_max: Annotated[Bytes, Ge(128), Le(MIB)] = 16 * KIB


@dataclass(frozen=True, slots=True)
class Supervision:
    """The supervision tree's own children: how many restarts are borne, and how fast."""

    intensity: Annotated[Count, Ge(0), Le(1000)] = 1
    period_s: Annotated[Seconds, Ge(0.1), Le(DAY_S)] = 5.0
    shutdown_s: Wait = 5.0
    backoff_initial_s: Annotated[Seconds, Ge(0.001), Le(60)] = 0.1
    backoff_max_s: Annotated[Seconds, Ge(0.001), Le(3600)] = 30.0


@dataclass(frozen=True, slots=True)
class Listen:
    """Who may connect, besides the owner through the Unix socket, and how many."""

    tcp: Address = ""
    token_file: Path = ""
    connections_max: Annotated[Count, Ge(1), Le(100_000)] = 4096
    backlog: Annotated[Count, Ge(1), Le(65_535)] = 1024
    frame_timeout_s: Wait = 30.0
    unsent_bytes_max: Annotated[Bytes, Ge(64 * KIB), Le(16 * GIB)] = 64 * MIB


@dataclass(frozen=True, slots=True)
class Heart:
    """The process that outlives the supervisor: when it gives up on one, how fast it retries."""

    watchdog_s: Annotated[Seconds, Ge(0), Le(3600)] = 10.0
    start_timeout_s: Annotated[Seconds, Ge(1), Le(7 * DAY_S)] = 600.0
    shutdown_s: Wait = 30.0
    backoff_initial_s: Annotated[Seconds, Ge(0.001), Le(60)] = 0.1
    backoff_max_s: Annotated[Seconds, Ge(0.001), Le(3600)] = 5.0
    spare: bool = True


@dataclass(frozen=True, slots=True)
class Logs:
    """`<data>/logs`: what is written, when a file is rotated, how many stay."""

    level: LogLevel = "info"
    bytes_max: Annotated[Bytes, Ge(4 * KIB), Le(16 * GIB)] = 16 * MIB
    kept: Annotated[Count, Ge(1), Le(10_000)] = 5


@dataclass(frozen=True, slots=True)
class Crashes:
    """`<data>/crashes`: how many reports stay, how much of the last output each repeats."""

    kept: Annotated[Count, Ge(1), Le(100_000)] = 100
    output_bytes_max: Annotated[Bytes, Ge(0), Le(16 * MIB)] = 64 * KIB


@dataclass(frozen=True, slots=True)
class Metrics:
    """Where Prometheus may fetch them."""

    http: Address = ""


@dataclass(frozen=True, slots=True)
class Chaos:
    """Faults on command."""

    allowed: bool = True


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one service. `load` makes them whole: `root` and `data` are absolute then."""

    target: Annotated[str, Form.TARGET] = ""
    root: Annotated[Path, MinLen(1)] = "."
    data: Annotated[Path, MinLen(1)] = "data"
    profile: Profile = ""
    durability: Durability = "everysec"
    window: Annotated[Count, Ge(1), Le(65_536)] = 256
    queue_max: Annotated[Count, Ge(1), Le(10_000_000)] = 10_000
    queue_bytes_max: Annotated[Bytes, Ge(64 * KIB), Le(64 * GIB)] = 64 * MIB
    op: Op = field(default_factory=Op)
    wal: Wal = field(default_factory=Wal)
    tape: Tape = field(default_factory=Tape)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    idempotency: Idempotency = field(default_factory=Idempotency)
    deadletter: Deadletter = field(default_factory=Deadletter)
    health: Health = field(default_factory=Health)
    brain: Brain = field(default_factory=Brain)
    supervision: Supervision = field(default_factory=Supervision)
    listen: Listen = field(default_factory=Listen)
    heart: Heart = field(default_factory=Heart)
    logs: Logs = field(default_factory=Logs)
    crashes: Crashes = field(default_factory=Crashes)
    metrics: Metrics = field(default_factory=Metrics)
    chaos: Chaos = field(default_factory=Chaos)
