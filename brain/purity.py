"""Keeps C code from going round the tracked containers. To be called before user code is imported.

`heapq.heappush(state["queue"], x)` of the C module writes into the list with no method called, so
nothing is recorded: primary and follower would differ without a word. Without `_heapq`, heapq is
pure Python, and each of its steps is an item assignment or an append, which records. What else of
the standard library changes a list or dict that it is handed (bisect.insort, random.shuffle) calls
its methods.
"""

import importlib
import sys
from collections.abc import MutableMapping
from typing import Any, Final, cast

BLOCKED: Final = {"_heapq": "heapq"}
"""C modules that are blocked, and the module that has a pure Python version of each."""


def install() -> None:
    """Block the C modules in this process, for good. A second call does nothing.

    A name that was imported from heapq before (`from heapq import heappush`, by the standard
    library for its own lists) stays the C function; `heapq.heappush` changes for everybody.
    """
    modules = cast(MutableMapping[str, Any], sys.modules)
    for c_module, module in BLOCKED.items():
        if c_module in modules and modules[c_module] is None:
            continue
        modules[c_module] = None
        if module in modules:
            importlib.reload(modules[module])
