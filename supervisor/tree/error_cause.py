"""An exception as the cause of an end. Text alone, as an exception keeps its frames alive."""

import traceback

from osupervisor.supervisor.tree.cause import Cause, CauseKind

# For reading; the end of a traceback says what happened.
TRACEBACK_CHARS_MAX = 16 * 1024


def error_cause(error: BaseException) -> Cause:
    """Keeps the last TRACEBACK_CHARS_MAX characters of the traceback."""
    text = "".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:]
    return Cause(CauseKind.ERROR, f"{type(error).__name__}: {error}", traceback=text)
