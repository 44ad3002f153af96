"""What the service measures of itself, in Prometheus' text format.

Values are read when somebody asks. Durations come from events (telemetry/events.py), which are told
where something takes time that isn't a request's: `SYNCED`, `TOOK_OVER`, `SEALING`.
"""

from functools import partial

from osupervisor.supervisor.core.core import Core
from osupervisor.supervisor.runtime.brains import TOOK_OVER, Brains, role_of
from osupervisor.supervisor.runtime.disk import SYNCED, Disk
from osupervisor.supervisor.runtime.health import Health
from osupervisor.supervisor.runtime.history import History
from osupervisor.supervisor.runtime.listener import Listener
from osupervisor.supervisor.runtime.status import VERSION, Status
from osupervisor.supervisor.runtime.vault import SEALING, Vault
from osupervisor.supervisor.telemetry import events
from osupervisor.supervisor.telemetry.events import Measurements, Metadata
from osupervisor.supervisor.telemetry.exposition import render
from osupervisor.supervisor.telemetry.metrics import Histogram, Metrics

STATES = ("starting", "ready", "readonly", "stopping")
HEALTH = ("healthy", "degraded", "unhealthy")


class Gauges:
    """Reads the parts when somebody asks; nothing is counted on the hot path for it."""

    def __init__(
        self,
        core: Core,
        disk: Disk,
        brains: Brains,
        health: Health,
        vault: Vault,
        status: Status,
        listener: Listener,
        history: History,
    ) -> None:
        self.metrics = Metrics()
        self._core = core
        self._disk = disk
        self._brains = brains
        self._health = health
        self._vault = vault
        self._status = status
        self._listener = listener
        self._history = history
        gauge = self.metrics.gauge
        gauge("osupervisor_info", "Which version runs.", ("version",)).labels(VERSION).set(1)
        self._state = gauge("osupervisor_state", "1 for the state it is in.", ("state",))
        self._healthy = gauge("osupervisor_health", "1 for how it is.", ("health",))
        self._values = {
            name: gauge(f"osupervisor_{name}", text).labels() for name, text in _VALUES.items()
        }
        self._rss = gauge("osupervisor_brain_rss_bytes", "Resident memory.", ("brain", "role"))
        self._user = gauge("osupervisor_brain_hot", "The brain's own counters.", ("name",))
        for event, (name, text) in DURATIONS.items():
            cell = self.metrics.histogram(f"osupervisor_{name}", text).labels()
            events.attach(name, [event], partial(_observe, cell))
        self._brain_labels: set[tuple[str, str]] = set()
        self._hot_names: set[str] = set()
        self.metrics.refresh_with(self._refresh)

    def render(self) -> str:
        return render(self.metrics)

    def _refresh(self) -> None:
        state = self._status.state()
        for each in STATES:
            self._state.labels(each).set(each == state)
        verdict = self._health.verdict()
        for each in HEALTH:
            self._healthy.labels(each).set(each == verdict)
        for name, value in self._read().items():
            self._values[name].set(value)
        self._refresh_brains()

    def _read(self) -> dict[str, float]:
        context = self._core.context
        log, fold = context.log, context.fold
        return {
            "lsn": log.last,
            "durable_lsn": log.durable,
            "epoch": fold.epoch,
            "queue_calls": len(context.queue),
            "queue_bytes": context.queue.size_bytes,
            "in_flight_calls": len(context.lease.inflight),
            "pending_effects": len(fold.pending),
            "brain_deaths": self._history.brain_deaths,
            "supervisor_deaths": self._history.supervisor_deaths,
            "wal_bytes_appended": self._disk.bytes_appended,
            "wal_syncs": self._disk.syncs,
            "idempotency_string_keys": len(fold.done.strings),
            "idempotency_clients": len(fold.done.clients),
            "idempotency_window_s": fold.done.window_held_us(context.now_us) / 1e6,
            "checkpoint_lsn": self._vault.state.last_lsn,
            "checkpoints_written": self._vault.state.written,
            "checkpoints_failed": self._vault.state.failed,
            "checkpoint_duration_s": self._vault.state.last_duration_s,
            "connections": len(self._listener.connections),
            "connections_accepted": self._listener.counters.accepted,
            "connections_refused": self._listener.counters.refused,
        }

    def _refresh_brains(self) -> None:
        primary = self._core.primary
        labels: set[tuple[str, str]] = set()
        for brain, sample in self._health.samples.items():
            process = self._brains.by_id.get(brain)
            if process is None:
                continue
            is_primary = primary is not None and primary.id == brain
            label = (str(brain), role_of(process, is_primary))
            labels.add(label)
            self._rss.labels(*label).set(sample.rss_bytes)
        for gone in self._brain_labels - labels:
            self._rss.remove(*gone)
        self._brain_labels = labels
        self._refresh_hot()

    def _refresh_hot(self) -> None:
        """The primary's; while there is none, the last ones stand."""
        primary = self._core.primary
        process = self._brains.by_id.get(primary.id) if primary is not None else None
        if process is None or process.gone:
            return
        counters = process.reader.snapshot().counters
        for gone in self._hot_names - counters.keys():
            self._user.remove(gone)
        self._hot_names = set(counters)
        for name, value in counters.items():
            self._user.labels(name).set(value)


def _observe(cell: Histogram, event: str, measured: Measurements, metadata: Metadata) -> None:
    cell.observe(measured["duration_s"])


DURATIONS = {
    SYNCED: ("wal_sync_duration_s", "How long making the log durable took."),
    TOOK_OVER: ("failover_duration_s", "From a primary's death to the next lease."),
    f"{SEALING}.stop": (
        "checkpoint_seal_duration_s",
        "From a checkpoint's last byte until it was in place.",
    ),
}

_VALUES = {
    "lsn": "Last record appended to the log.",
    "durable_lsn": "Last record known durable.",
    "epoch": "Number of the lease.",
    "queue_calls": "Calls that wait for delivery.",
    "queue_bytes": "Bytes of the calls that wait for delivery.",
    "in_flight_calls": "Calls delivered and not yet logged.",
    "pending_effects": "Casts and timers asked for and not yet done.",
    "brain_deaths": "Brains that ended since the service was started.",
    "supervisor_deaths": "Supervisors that ended since the service was started.",
    "wal_bytes_appended": "Bytes appended to the log by this supervisor.",
    "wal_syncs": "Syncs of the log by this supervisor.",
    "idempotency_string_keys": "String keys remembered.",
    "idempotency_clients": "Clients of the library remembered.",
    "idempotency_window_s": "How far back string keys are really remembered.",
    "checkpoint_lsn": "LSN of the newest checkpoint.",
    "checkpoints_written": "Checkpoints written by this supervisor.",
    "checkpoints_failed": "Checkpoints that this supervisor could not get written.",
    "checkpoint_duration_s": "How long the newest checkpoint took.",
    "connections": "Clients connected now.",
    "connections_accepted": "Connections accepted by this supervisor.",
    "connections_refused": "Connections refused by this supervisor.",
}
