"""`osupervisor tree`: the supervision tree of the service that runs."""

from collections.abc import Iterator
from typing import Any

from osupervisor.bridge.methods import SYSTEM_TREE
from osupervisor.supervisor.cli.invocation import Invocation, command
from osupervisor.supervisor.cli.printing import print_json, write

Branch = dict[str, Any]


@command()
def tree(invocation: Invocation) -> None:
    """Show the supervision tree: each child, its process, its state."""
    with invocation.client() as client:
        root: Branch = client.request(SYSTEM_TREE)
    if invocation.json:
        print_json(root)
    else:
        write("\n".join(draw(root)))


def draw(branch: Branch) -> Iterator[str]:
    """One line for each child, below its supervisor."""
    yield describe(branch)
    children: list[Branch] = branch.get("children") or []
    for number, child in enumerate(children, start=1):
        first, others = ("└── ", "    ") if number == len(children) else ("├── ", "│   ")
        for index, line in enumerate(draw(child)):
            yield (others if index else first) + line


def describe(branch: Branch) -> str:
    """A child's own line."""
    parts = [str(branch.get("role") or ""), str(branch.get("phase") or "")]
    if branch.get("pid"):
        parts.append(f"process {branch['pid']}")
    if branch.get("restarts"):
        parts.append(f"restarted {branch['restarts']} times")
    text = ", ".join(filter(None, parts))
    return f"{branch.get('id', '?')}  {text}".rstrip()
