"""What is left of brains when their supervisor has died, and which process a brain is."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from osupervisor.supervisor.runtime import brain_process
from osupervisor.supervisor.runtime.adoption import PARTS, Survivor, reattach, store_name, whole
from osupervisor.vault_store import hot
from tests.supervisor.runtime.nobody import Nobody


def test_only_brains_with_all_their_parts_died_unseen() -> None:
    unseen = [store_name(3, part) for part in PARTS]
    seen = [store_name(4, "pidfd")]
    never_identified = [store_name(5, "line"), store_name(5, "hot")]
    assert whole([*unseen, *seen, *never_identified]) == 1
    assert whole([]) == 0


def test_a_brain_that_dies_while_it_is_taken_over_is_let_go_of() -> None:
    async def take_over() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with subprocess.Popen([sys.executable, "-c", ""]) as process:
            pidfd = os.pidfd_open(process.pid)
        theirs.close()
        survivor = Survivor(1, process.pid, ours.detach(), pidfd, hot.create())
        assert reattach(survivor, 1, asyncio.get_running_loop(), Nobody()) is None
        with pytest.raises(OSError):
            os.fstat(pidfd)

    asyncio.run(take_over())


@pytest.mark.parametrize("pid", [-1, 2**40, 2**70])
def test_a_pid_that_can_be_none_is_no_process(pid: int) -> None:
    async def identify() -> None:
        loop = asyncio.get_running_loop()
        process, ends = brain_process.make(1, loop, Nobody())
        ends.close()
        assert not process.identify(pid, loop, lambda: None)
        process.close()
        os.close(process.output)

    asyncio.run(identify())
