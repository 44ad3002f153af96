"""All that crosses a process boundary: frames, messages, state operations, ports, clients.

    frames     bytes cut into bodies          call       brain.call off its bytes
    messages   MessagePack-RPC                session    what a peer may send, and when
    methods    what can be asked              errors     what can go wrong
    client     Client                         line       datagrams with descriptors
    exchange   what both clients share        address    where a service listens

The names below are the library's, for programs that call a service. They are imported when they are
first used: a brain, which needs the codecs only, doesn't load asyncio for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from osupervisor.bridge.async_client import AsyncClient, AsyncPipeline
    from osupervisor.bridge.client import Client
    from osupervisor.bridge.errors import (
        AddressError,
        BridgeError,
        InvalidArguments,
        LocalProtocolError,
        NotRunningError,
        OpFailed,
        OpNotFound,
        Overloaded,
        ProtocolError,
        Quarantined,
        ReadOnly,
        RemoteProtocolError,
        ServiceError,
        Timeout,
        Unavailable,
    )
    from osupervisor.bridge.pipeline import Pipeline

__all__ = [
    "AddressError",
    "AsyncClient",
    "AsyncPipeline",
    "BridgeError",
    "Client",
    "InvalidArguments",
    "LocalProtocolError",
    "NotRunningError",
    "OpFailed",
    "OpNotFound",
    "Overloaded",
    "Pipeline",
    "ProtocolError",
    "Quarantined",
    "ReadOnly",
    "RemoteProtocolError",
    "ServiceError",
    "Timeout",
    "Unavailable",
]

_ELSEWHERE = {
    "AsyncClient": "async_client",
    "AsyncPipeline": "async_client",
    "Client": "client",
    "Pipeline": "pipeline",
}
"""The modules of the names that are not in `errors`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, 'errors')}"), name)
