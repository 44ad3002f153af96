"""What the service says of itself: the nested map of `system.status` and `status --json`."""

import os
from collections.abc import Callable
from importlib.metadata import version

from osupervisor.supervisor.core.lease import Brain
from osupervisor.supervisor.runtime.brains import Brains
from osupervisor.supervisor.runtime.engine import Engine
from osupervisor.supervisor.runtime.health import Health
from osupervisor.supervisor.runtime.history import History
from osupervisor.supervisor.runtime.vault import Vault

VERSION = version("osupervisor")


class Status:
    """Reads the parts; changes nothing."""

    def __init__(
        self, engine: Engine, brains: Brains, health: Health, vault: Vault, history: History
    ) -> None:
        self.heart_pid = os.getppid()
        self.stopping = False
        self.rung: Callable[[], str] = lambda: ""
        """Where on the ladder a brain would start now."""
        self.listen: Callable[[], dict[str, str | None]] = dict
        """Addresses beside the Unix socket, by what they are for; None: there is none."""
        self.warnings: dict[str, str] = {}
        """What is wrong beside the log's own trouble, by subject; out again when it is well."""
        self._engine = engine
        self._brains = brains
        self._health = health
        self._vault = vault
        self._history = history

    def state(self) -> str:
        if self.stopping:
            return "stopping"
        core = self._engine.core
        if core.read_only or core.context.helpless:
            return "readonly"
        return "ready" if core.primary is not None else "starting"

    def as_map(self) -> dict[str, object]:
        context = self._engine.core.context
        log, fold, history = context.log, context.fold, self._history
        primary = self._engine.core.primary
        return {
            "state": self.state(),
            "health": self._health.verdict(),
            "complaints": self._health.complaints(),
            "reason": self._reason(),
            "rung": self.rung(),
            "epoch": fold.epoch,
            "version": VERSION,
            "lsn": log.last,
            "durable_lsn": log.durable,
            "durability": "always" if log.always else "everysec",
            "heart": {"pid": self.heart_pid},
            "supervisor": {"pid": os.getpid(), "restarts": history.supervisor_deaths},
            "primary": None if primary is None else self._brain(primary),
            "standby": self._standby(),
            "restarts": history.brain_deaths + history.supervisor_deaths,
            "uptime_s": round(history.uptime_s(), 3),
            "queue": {"calls": len(context.queue), "bytes": context.queue.size_bytes},
            "in_flight": len(context.lease.inflight),
            "pending": len(fold.pending),
            "idempotency": {
                "string_keys": len(fold.done.strings),
                "clients": len(fold.done.clients),
                "window_s": fold.done.window_held_us(context.now_us) / 1e6,
            },
            "checkpoint": {
                "lsn": self._vault.state.last_lsn,
                "written": self._vault.state.written,
                "failed": self._vault.state.failed,
                "last_error": self._vault.state.last_error,
            },
            "listen": self.listen(),
        }

    def _reason(self) -> str:
        """The most pressing one of what is wrong."""
        context = self._engine.core.context
        return context.trouble or context.helpless or next(iter(self.warnings.values()), "")

    def _standby(self) -> dict[str, object] | None:
        for brain in self._engine.core.brains.values():
            process = self._brains.by_id.get(brain.id)
            if brain.streaming and not brain.safe and process is not None and process.ready:
                lag = max(0, self._engine.core.context.log.last - process.reader.lsn())
                return {**self._brain(brain), "lag_records": lag}
        return None

    def _brain(self, brain: Brain) -> dict[str, object]:
        process = self._brains.by_id.get(brain.id)
        sample = self._health.samples.get(brain.id)
        return {
            "pid": process.pid if process is not None else 0,
            "id": brain.id,
            "code_version": brain.version,
            "rss_bytes": sample.rss_bytes if sample is not None else 0,
            "cpu_share": sample.cpu_share if sample is not None else 0.0,
        }
