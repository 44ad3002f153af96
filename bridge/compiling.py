"""What compiled modules say to mypyc, and what that is where nothing is compiled: nothing.

mypy_extensions is needed where the compiler runs, not where its modules do. This module itself is
never compiled, as it is another one to the compiler than at run time.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_: object) -> Callable[[T], T]:
        """Leaves the class as it is."""
        return lambda kind: kind
