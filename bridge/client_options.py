"""What a client and its pipelines are made with besides an address, checked. Pure.

What is compiled behind them would say of a wrong type no more than that it is one.
"""

from osupervisor.bridge.errors import LocalProtocolError


def check_client(token: object, retries: object, connect_timeout_s: object) -> None:
    """Raises LocalProtocolError."""
    if token is not None and not (isinstance(token, str) and _is_text(token)):
        kind = "no UTF-8" if isinstance(token, str) else f"of type {type(token).__name__}"
        raise LocalProtocolError(  # it is a password, and not repeated
            f"found a token that is {kind}",
            "wanted the text that stands in the service's listen.token_file, or None",
        )
    _check_flag("retries", retries)
    if not _is_wait(connect_timeout_s):
        raise LocalProtocolError(
            f"found connect_timeout_s {connect_timeout_s!r:.100}", "wanted seconds from 0 on"
        )


def check_pipeline(window: object, raising: object) -> None:
    """Raises LocalProtocolError."""
    if not isinstance(window, int) or isinstance(window, bool) or window < 1:
        raise LocalProtocolError(f"found the window {window!r:.100}", "wanted a number from 1 on")
    _check_flag("raising", raising)


def _check_flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise LocalProtocolError(f"found {name} {value!r:.100}", "wanted True or False")


def _is_wait(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_text(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)
