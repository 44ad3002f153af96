"""Heart's start: arguments, inherited descriptors, the folder, the sockets; then the loop."""

import os
import sys
import time

from osupervisor.supervisor.heart.errors import HeartError, UsageError
from osupervisor.supervisor.heart.heart import Heart
from osupervisor.supervisor.heart.holdings import Holdings
from osupervisor.supervisor.heart.journal import Journal
from osupervisor.supervisor.heart.listen_environment import FIRST_FD, take
from osupervisor.supervisor.heart.notification import REFUSED
from osupervisor.supervisor.heart.options import parse
from osupervisor.supervisor.heart.own_process import (
    become_subreaper,
    name_process,
    open_standard_descriptors,
    raise_open_files,
    trim_memory,
)
from osupervisor.supervisor.heart.process import OPEN_MAX
from osupervisor.supervisor.heart.signal_queue import SignalQueue
from osupervisor.supervisor.heart.upstream import upstream_of_environment


def main(arguments: list[str]) -> int:
    """Heart, from its command line on; returns the exit status (2: the arguments are wrong)."""
    open_standard_descriptors()
    try:
        options = parse(arguments)
    except UsageError as error:
        print(f"heart: {error}", file=sys.stderr)
        return 2
    options = options._replace(data=os.path.abspath(options.data))
    inherited = take(any_pid=bool(options.adopt))
    os.closerange(FIRST_FD + len(inherited), OPEN_MAX)  # what a shell or a CI job left open
    journal = Journal(options.data, options.foreground, options.log_bytes, options.logs_kept)
    upstream = upstream_of_environment(time.monotonic())
    signals = SignalQueue()  # before the socket is there, so that whoever sees it can stop heart
    try:
        holdings = Holdings(options, inherited)
        become_subreaper()
        raise_open_files()
        name_process()
        trim_memory()
        return Heart(options, holdings, journal, upstream, signals).run()
    except HeartError as error:
        journal.say("error", str(error))
        upstream.tell({"STATUS": str(error), "EXIT_STATUS": str(REFUSED)})
        return 1
