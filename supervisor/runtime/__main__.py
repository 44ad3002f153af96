"""`python -m osupervisor.supervisor.runtime --settings FILE`: the supervisor's process.

Heart starts it, with the listening sockets and all that outlived the last one. A start that is
refused (damage, a lock, settings) says why and exits with 78; heart doesn't try again then.
"""

import os
import sys

from osupervisor.supervisor.runtime import head_start


def main() -> None:
    """A cold start's nursery imports the brain's code while this process imports its own."""
    nursery = head_start.begin(sys.argv, os.environ)
    from osupervisor.supervisor.runtime import process

    process.main(nursery)


main()
