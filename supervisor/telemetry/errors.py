"""What telemetry refuses."""


class TelemetryError(Exception):
    """The base of all of them."""


class HandlerExistsError(TelemetryError):
    def __init__(self, handler_id: str) -> None:
        super().__init__(f"a handler {handler_id!r} is attached already; detach it first")
        self.handler_id = handler_id


class HandlerNotFoundError(TelemetryError):
    def __init__(self, handler_id: str) -> None:
        super().__init__(f"no handler {handler_id!r} is attached (one that failed is detached)")
        self.handler_id = handler_id


class MetricError(TelemetryError):
    """A metric is not what Prometheus takes, or its name is taken by another one."""

    def __init__(self, name: str, found: object, wanted: str) -> None:
        super().__init__(f"metric {name!r}: found {found!r}, wanted {wanted}")
        self.name = name
