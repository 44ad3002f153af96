"""The methods that clients may call besides brain.call and brain.state."""

import os
from typing import TYPE_CHECKING

from osupervisor.supervisor.runtime.connection import Handler
from osupervisor.supervisor.runtime.status import VERSION

if TYPE_CHECKING:
    from osupervisor.supervisor.runtime.service import Service


class Methods:
    """Handlers by name. Each takes the params as they came, and checks them."""

    def __init__(self, service: "Service") -> None:
        self._service = service

    def handlers(self) -> dict[str, Handler]:
        return {
            "kernel.hello": self._hello,
            "kernel.ping": lambda params: "pong",
            "kernel.api": self._api,
            "system.status": lambda params: self._service.status.as_map(),
            "system.checkpoint": self._checkpoint,
        }

    def _hello(self, params: list[object]) -> object:
        context = self._service.core.context
        return {"version": VERSION, "pid": os.getpid(), "now_us": context.now_us}

    def _api(self, params: list[object]) -> object:
        return {"brain": self._service.schema}

    async def _checkpoint(self, params: list[object]) -> object:
        manifest = await self._service.vault.ask()
        return {"lsn": manifest.lsn, "bytes": manifest.state.bytes}
