"""Whether a module runs from its source, or was compiled (`make compiled`).

What is patched into a compiled module changes nothing: its constants and functions are bound
when it is built. A test that patches one says so with `needs_source`.
"""

from types import ModuleType

import pytest


def needs_source(*modules: ModuleType) -> pytest.MarkDecorator:
    """Skip where one of these modules is compiled."""
    compiled = [module.__name__ for module in modules if not str(module.__file__).endswith(".py")]
    return pytest.mark.skipif(bool(compiled), reason=f"patches {', '.join(compiled)}: compiled")
