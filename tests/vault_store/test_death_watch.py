"""The robust mutex and the wait for its owner's death, against real processes."""

import mmap
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from osupervisor.vault_store import futex, hot
from osupervisor.vault_store.futex import DEAD, SYS_FUTEX, exiting, wait_for_death
from osupervisor.vault_store.hot_layout import MUTEX_OFFSET, SEGMENT_BYTES
from tests.vault_store.process import BrainProcess

# Longer than anything here takes on a loaded machine; a wait that ends does so at once.
LONG_S = 30.0
# For what must not happen.
SHORT_S = 0.15

Spawn = Callable[..., BrainProcess]


def word(process: BrainProcess) -> int:
    content = process.reader.map[MUTEX_OFFSET : MUTEX_OFFSET + 4]
    return int.from_bytes(content, sys.byteorder)


@pytest.fixture
def scratch() -> mmap.mmap:
    """A hot segment without an owner, writable."""
    fd = hot.create()
    mapping = mmap.mmap(fd, SEGMENT_BYTES, mmap.MAP_SHARED)
    os.close(fd)
    return mapping


def store(mapping: mmap.mmap, value: int) -> None:
    mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4] = value.to_bytes(4, sys.byteorder)


def test_mutex_is_held_by_the_main_thread_with_the_waiters_bit(spawn: Spawn) -> None:
    process = spawn()
    assert process.ask("owner") == [str(process.pid), str(0x8000_0000)]


@pytest.fixture
def one_cpu() -> Iterator[int]:
    """The CPU on which this thread stays."""
    allowed = os.sched_getaffinity(0)
    cpu = min(allowed)
    os.sched_setaffinity(0, {cpu})
    yield cpu
    os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize("megabytes", [1, 300])
def test_death_is_reported_before_the_pidfd_does(
    spawn: Spawn, one_cpu: int, megabytes: int
) -> None:
    """A test of order: at the wake the pidfd is still silent, as the memory is still being freed.

    Who waits is woken on the CPU of the dying process, which gives way to all others: else, where
    every CPU is busy, a small process is gone before its death is looked at. The wake can still
    come in the same moment as the pidfd's, so it has some tries.
    """
    tries = 50 if megabytes == 1 else 5
    for _ in range(tries):
        process = spawn(megabytes)
        os.sched_setaffinity(process.pid, {one_cpu})
        os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        process.kill()
        assert wait_for_death(process.reader.map, LONG_S)
        early = not process.ended()
        assert exiting(process.pid)
        assert process.ended(LONG_S)
        process.close()
        if early:
            return
    pytest.fail(f"the pidfd was never later in {tries} tries")


def test_death_before_the_wait_is_seen_at_once(spawn: Spawn) -> None:
    process = spawn()
    process.kill()
    assert process.ended(LONG_S)
    assert wait_for_death(process.reader.map, 0.0)
    assert word(process) == DEAD


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT])
def test_every_kind_of_death_is_reported(spawn: Spawn, number: signal.Signals) -> None:
    process = spawn()
    os.kill(process.pid, number)
    assert wait_for_death(process.reader.map, LONG_S)


def test_exec_ends_the_brain_as_a_death_does(spawn: Spawn) -> None:
    process = spawn()
    process.tell("exec")
    assert wait_for_death(process.reader.map, LONG_S)


def test_stopped_brain_is_not_dead(spawn: Spawn) -> None:
    process = spawn()
    os.kill(process.pid, signal.SIGSTOP)
    assert not wait_for_death(process.reader.map, SHORT_S)
    assert not exiting(process.pid)
    os.kill(process.pid, signal.SIGCONT)


def test_lie_wakes_the_waiter_and_is_told_from_a_death(spawn: Spawn) -> None:
    process = spawn()
    assert process.ask("lie") == ["lied"]
    assert wait_for_death(process.reader.map, LONG_S)
    assert not exiting(process.pid)
    assert not process.ended()


def test_every_true_alarm_is_told_as_true(spawn: Spawn) -> None:
    for _ in range(20):
        process = spawn(20)
        process.kill()
        assert wait_for_death(process.reader.map, LONG_S)
        assert exiting(process.pid)


def test_waiter_waits_in_the_kernel_and_wakes_without_the_word_it_began_with(spawn: Spawn) -> None:
    """The wait begins before the mutex is made: the kernel wakes whoever waits on that address."""
    process = spawn()
    with mmap.mmap(process.segment, SEGMENT_BYTES, mmap.MAP_SHARED) as mapping:
        owned = mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4]
        store(mapping, 0)
        results: list[bool] = []
        thread = threading.Thread(
            target=lambda: results.append(wait_for_death(process.reader.map, LONG_S))
        )
        thread.start()
        wait_until_in_futex(thread)
        mapping[MUTEX_OFFSET : MUTEX_OFFSET + 4] = owned
    process.kill()
    thread.join()
    assert results == [True]


def test_several_waiters_are_all_woken(spawn: Spawn) -> None:
    """The kernel wakes one; that one wakes the others."""
    process = spawn()
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(wait_for_death(process.reader.map, LONG_S)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        wait_until_in_futex(thread)
    process.kill()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_wait_releases_the_interpreter(spawn: Spawn) -> None:
    process = spawn()
    thread = threading.Thread(target=wait_for_death, args=(process.reader.map, LONG_S))
    thread.start()
    # Would hang if the waiting thread held the interpreter.
    wait_until_in_futex(thread)
    process.kill()
    thread.join()


def test_random_words_wake_nobody_and_harm_nobody(scratch: mmap.mmap) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    words = [0, 1, 2**32 - 1, DEAD - 1, DEAD + 1, 0x4000_0000, 0x8000_0000]
    for value in words + [source.randrange(2**32) for _ in range(50)]:
        store(scratch, value)
        assert wait_for_death(scratch, 0.002) == (value == DEAD)


def test_word_that_changes_all_the_time_does_not_make_the_waiter_spin(scratch: mmap.mmap) -> None:
    spent_s: list[float] = []

    def wait() -> None:
        wait_for_death(scratch, 0.5)
        spent_s.append(time.thread_time())

    thread = threading.Thread(target=wait)
    thread.start()
    value = 0
    while thread.is_alive():
        value = (value + 1) % DEAD
        store(scratch, value)
    assert spent_s[0] < 0.1


def test_scribbling_brain_harms_nobody_and_its_death_is_told_by_the_pidfd(spawn: Spawn) -> None:
    process = spawn()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    process.tell("scribble", seed, 2000)
    while not process.answered():
        process.reader.snapshot()
        wait_for_death(process.reader.map, 0.001)
    assert process.answer() == ["scribbled"]
    process.kill()
    assert process.ended(LONG_S)


def test_forked_child_holds_nothing_of_its_parents(spawn: Spawn) -> None:
    """A checkpoint's child: its death says nothing about the brain, and it delays nothing."""
    process = spawn()
    assert process.ask("list") == ["1"]
    _, child, mapped, held = process.ask("fork", -1)
    assert (mapped, held) == ("unmapped", "0")
    os.kill(int(child), signal.SIGKILL)
    assert process.ask("reap", child) == ["reaped", str(process.pid | 0x8000_0000)]
    assert not wait_for_death(process.reader.map, SHORT_S)


def test_brain_dies_while_its_child_lives_on(spawn: Spawn) -> None:
    process = spawn()
    child = process.ask("fork", -1)[1]
    child_pidfd = os.pidfd_open(int(child))
    try:
        process.kill()
        assert wait_for_death(process.reader.map, LONG_S)
        assert not exiting(int(child))
    finally:
        signal.pidfd_send_signal(child_pidfd, signal.SIGKILL)
        os.close(child_pidfd)


def test_forked_brain_makes_its_own_mutex(spawn: Spawn) -> None:
    """A standby forked from a standby: each one's death is its own."""
    process = spawn()
    _, child, _, held = process.ask("fork", process.own_segment)
    assert held == "1"
    second = hot.HotReader(process.own_segment)
    try:
        assert second.snapshot().pid == int(child)
        assert second.cell()[0] == 99
        assert process.reader.cell()[0] == 0
        assert not wait_for_death(second.map, 0.0)
        os.kill(int(child), signal.SIGKILL)
        assert wait_for_death(second.map, LONG_S)
        process.ask("reap", child)
        assert not wait_for_death(process.reader.map, SHORT_S)
        process.kill()
        assert wait_for_death(process.reader.map, LONG_S)
    finally:
        second.close()


def test_mapping_can_not_be_closed_under_a_waiter(spawn: Spawn) -> None:
    process = spawn()
    reader = hot.HotReader(process.segment)
    thread = threading.Thread(target=wait_for_death, args=(reader.map, LONG_S))
    thread.start()
    wait_until_in_futex(thread)
    with pytest.raises(BufferError):
        reader.map.close()
    process.kill()
    thread.join()
    reader.close()


def test_flags_decide_where_the_link_may_not_be_read(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(_path: str) -> str:
        raise PermissionError

    process = spawn(100)
    monkeypatch.setattr(os, "readlink", forbidden)
    assert not exiting(process.pid)
    process.kill()
    assert wait_for_death(process.reader.map, LONG_S)
    assert exiting(process.pid)
    process.close()
    assert exiting(process.pid)


def test_process_that_is_gone_is_exiting(spawn: Spawn) -> None:
    process = spawn()
    process.close()
    assert exiting(process.pid)
    assert futex.available()


def wait_until_in_futex(thread: threading.Thread) -> None:
    """Until the thread waits in a plain FUTEX_WAIT; one that waits for the interpreter does not."""
    while True:
        call = Path(f"/proc/self/task/{thread.native_id}/syscall").read_text().split()
        if call[0] == str(SYS_FUTEX) and call[2] == "0x0":
            return
        time.sleep(0.001)
