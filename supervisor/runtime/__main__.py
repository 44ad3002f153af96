"""`python -m osupervisor.supervisor.runtime --settings FILE`: the supervisor's process.

Heart starts it, with the listening sockets and all that outlived the last one. A start that is
refused (damage, a lock, settings) says why and exits with 78; heart doesn't try again then.
"""

from osupervisor.supervisor.runtime.process import main

main()
