"""Says numbered things to a log as fast as it can, rotating all the time, until it is killed."""

import sys
from itertools import count
from pathlib import Path

from osupervisor.supervisor.logs.writer import LogWriter

path, first = Path(sys.argv[1]), int(sys.argv[2])
log = LogWriter(path, bytes_max=20_000, kept=1000)
for number in count(first):
    log.say("info", "count", number=number)
