"""What can stop heart from starting; each says what was found, what was wanted, what to do."""


class HeartError(Exception):
    """Heart can't start, or can't be started."""


class UsageError(HeartError):
    """The arguments are wrong."""


class FolderError(HeartError):
    """A folder of the data directory can't be used."""

    def __init__(self, path: str, found: str, wanted: str) -> None:
        super().__init__(f"{path}: {found}; wanted {wanted}")
        self.path = path


class AlreadyRunningError(HeartError):
    """Another heart, or a supervisor without one, serves this data directory."""

    def __init__(self, data: str, pid: int | None) -> None:
        who = f"process {pid}" if pid else "somebody answers on its socket"
        super().__init__(
            f"{data}: a service runs here already ({who}); "
            "stop it with `osupervisor stop`, or give another --data"
        )
        self.data = data
        self.pid = pid


class AddressError(HeartError):
    """A listening address can't be bound."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"cannot listen on {address}: {reason}; "
            "stop what uses it, or change the setting listen.tcp"
        )
        self.address = address
        self.reason = reason
