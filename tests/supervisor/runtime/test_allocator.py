"""Memory that was given back reaches the kernel; and when that is asked for."""

import json
import subprocess
import sys

import pytest

from osupervisor.supervisor.runtime import allocator
from osupervisor.supervisor.runtime.allocator import LOOKS_MAX, MIB, QUIET_BYTES, WORTH_BYTES, Slack

SCRIPT = """
import json, resource, sys
from osupervisor.supervisor.runtime import allocator

def rss():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

bounded = allocator.set_bounds()
before = rss()
pins = []
for _ in range(20):
    large = [b"x" * 4_000_000 for _ in range(6)]
    pins.append(bytes(2_000))
    del large
large_kept = rss() - before
small = [bytes([n % 256]) * 2_000 for n in range(10_000)]
pins += small[::50]
del small
small_kept = rss() - before
allocator.give_back()
print(json.dumps([bounded, large_kept, small_kept, rss() - before]))
"""


def test_what_was_freed_does_not_stay_with_the_process() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True, text=True)
    bounded, large_kept, small_kept, kept = json.loads(ran.stdout)
    if not bounded:
        pytest.skip("the C library is not glibc")
    assert large_kept < 2 * MIB, "buffers of 4 MB stayed"
    assert small_kept > 10 * MIB, "blocks of 2 KB, with others behind them, stay"
    assert kept < 4 * MIB


def test_it_is_given_back_at_a_quiet_moment_behind_traffic() -> None:
    slack = Slack()
    assert not slack.is_due(0)
    assert not slack.is_due(WORTH_BYTES), "in the midst of it"
    assert slack.is_due(WORTH_BYTES + QUIET_BYTES)
    assert not slack.is_due(WORTH_BYTES + QUIET_BYTES), "there is nothing new"
    assert not slack.is_due(2 * WORTH_BYTES - 1), "not worth while"


def test_traffic_without_a_pause_puts_it_off_for_a_while_only() -> None:
    slack = Slack()
    looks = [slack.is_due(look * WORTH_BYTES) for look in range(1, 2 * LOOKS_MAX + 1)]
    assert [at for at, due in enumerate(looks, 1) if due] == [LOOKS_MAX, 2 * LOOKS_MAX]


def test_bounds_leave_what_is_read_from_a_socket_in_the_heap() -> None:
    assert allocator.BUFFER_BYTES >= 4 * 65_536
