"""A supervisor with one process as its child; it prints that one's pid, and serves for ever."""

import asyncio
import sys

from osupervisor.supervisor.tree.child_spec import ChildSpec, Flags
from osupervisor.supervisor.tree.environment import Environment
from osupervisor.supervisor.tree.process_child import process
from osupervisor.supervisor.tree.supervisor import Supervisor

# Says that it is ready, and ends when its supervisor has.
PROGRAM = ["sh", "-c", "echo ready >&3; read line <&3; exit 0"]


async def main() -> None:
    child = ChildSpec("child", process(PROGRAM))
    top = Supervisor("top", lambda: (Flags(), [child]), Environment(lambda: 0.5))
    await top.start()
    view = top.which_children()[0]
    assert view.child is not None
    sys.stdout.write(f"{view.child.pid}\n")
    sys.stdout.flush()
    await top.wait()


asyncio.run(main())
