"""An exchange, and the lock under which threads use it."""

import threading
from typing import Generic, TypeVar

from osupervisor.bridge.exchange import Exchange
from osupervisor.bridge.pending import Pending

P = TypeVar("P", bound=Pending)


class Guarded(Generic[P]):
    """What a link and its pipelines have in common: one object, for as long as they live."""

    __slots__ = ("closed", "exchange", "lock")

    def __init__(self, exchange: Exchange[P]) -> None:
        self.closed = False
        self.begin(exchange)

    def begin(self, exchange: Exchange[P]) -> None:
        """From now on this exchange, under a lock that nobody holds."""
        self.exchange = exchange
        self.lock = threading.Lock()
