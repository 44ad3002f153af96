"""The time of a log's line. No I/O, and no slow import: the nursery's start waits for it."""

import time
from functools import lru_cache


def timestamp(unix_s: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    whole_s, ms = divmod(int(unix_s * 1000), 1000)
    return f"{_second(whole_s)}.{ms:03d}Z"


@lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    """Most records are of the second of the one before."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(unix_s))
