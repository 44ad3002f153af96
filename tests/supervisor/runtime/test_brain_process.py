"""A brain's descriptors: all of them, or none."""

import asyncio
import errno
import os

import pytest

from osupervisor.supervisor.runtime import brain_process
from tests.supervisor.runtime.nobody import Nobody


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("call", ["pipe2", "memfd_create"])
def test_what_was_opened_is_closed_when_the_rest_cannot_be(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_arguments: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    async def make() -> None:
        loop = asyncio.get_running_loop()
        before = open_descriptors()
        with monkeypatch.context() as patched:
            patched.setattr(os, call, fail)
            with pytest.raises(OSError, match="Too many open files"):
                brain_process.make(1, loop, Nobody())
        assert open_descriptors() == before
        process, ends = brain_process.make(1, loop, Nobody())
        ends.close()
        process.close()
        os.close(process.output)
        assert open_descriptors() == before

    asyncio.run(make())
