"""Plain copies of tracked containers."""

from collections.abc import Iterable
from typing import Any

from osupervisor.brain.values import SCALARS, is_dict


def plain_dict(node: dict[Any, Any]) -> dict[Any, Any]:
    """A deep copy of plain dicts and lists, keys in their order."""
    return {key: value if type(value) in SCALARS else _plain(value) for key, value in node.items()}


def plain_list(node: Iterable[Any]) -> list[Any]:
    return [value if type(value) in SCALARS else _plain(value) for value in node]


def _plain(value: Any) -> Any:
    return plain_dict(value) if is_dict(value) else plain_list(value)
