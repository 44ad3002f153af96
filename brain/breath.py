"""Lets the handlers of signals run inside of a compiled loop.

They run between two byte codes, and a compiled loop has none: a brain that follows one long commit,
or takes one back, would give no sign of life (heartbeat.py) until it is through. So such a loop
calls `breathe` now and then. This module is never compiled: then the call would have none either.
"""


def breathe() -> None:
    """Does nothing; before that, the interpreter looks for signals."""
