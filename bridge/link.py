"""What a compiled `Wire` can't be: forgotten when nobody has it, and found by a forked child.

After a fork the child has a link of its own: new name, no connection, nothing in flight.
"""

import os
import weakref

from osupervisor.bridge.address import Address
from osupervisor.bridge.client_options import check_client
from osupervisor.bridge.wire import Wire

_links: "weakref.WeakSet[Link]" = weakref.WeakSet()


class Link(Wire):
    """One connection, shared by any number of threads, closed when the last of them drops it."""

    def __init__(
        self, address: Address, *, token: str | None, retries: bool, connect_timeout_s: float
    ) -> None:
        check_client(token, retries, connect_timeout_s)
        super().__init__(address, token=token, retries=retries, connect_timeout_s=connect_timeout_s)
        _links.add(self)

    def __del__(self) -> None:
        if not getattr(self, "closed", True):
            self.release()


def _begin_anew_in_child() -> None:
    for link in list(_links):
        link.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_in_child)
