"""The folder of the sockets, the lock, and the log file, without processes where that is enough."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from osupervisor.supervisor.heart import pid_file
from osupervisor.supervisor.heart.descriptor_store import DescriptorStore, StoreFullError
from osupervisor.supervisor.heart.errors import AlreadyRunningError, FolderError
from osupervisor.supervisor.heart.journal import json_string
from osupervisor.supervisor.heart.launch import HeartLink, Inheritance
from osupervisor.supervisor.heart.named_tuple import NamedTuple
from osupervisor.supervisor.heart.notifier import Notifier
from osupervisor.supervisor.heart.options import Options
from osupervisor.supervisor.heart.revive import revive
from osupervisor.supervisor.heart.run_folder import SUN_PATH_BYTES_MAX, RunFolder
from tests.supervisor.heart.service import wait_for

HOLD = """
import sys
from osupervisor.supervisor.heart import pid_file
pid_file.acquire(sys.argv[1], 0)
print("held", flush=True)
sys.stdin.read()
"""


ALONE = """
import sys
for name, path in (("osupervisor", []), ("osupervisor.supervisor", [sys.argv[1]])):
    sys.modules[name] = type(sys)(name)
    sys.modules[name].__path__ = path
import osupervisor.supervisor.heart.launch, osupervisor.supervisor.heart.revive
"""


def test_the_supervisors_side_needs_the_standard_library_alone() -> None:
    folder = str(Path(pid_file.__file__).parent.parent)
    subprocess.run([sys.executable, "-I", "-S", "-c", ALONE, folder], check=True)


def test_addresses_are_plain_as_long_as_they_fit(tmp_path: Path) -> None:
    folder = RunFolder(str(tmp_path))
    length = SUN_PATH_BYTES_MAX - len(os.fsencode(folder.path)) - 1
    assert folder.address("x" * length) == f"{folder.path}/{'x' * length}"
    assert folder.address("x" * (length + 1)).startswith("/proc/self/fd/")
    assert folder.address("x" * (length + 1), os.getpid()).startswith(f"/proc/{os.getpid()}")
    folder.close()


def test_a_long_name_names_the_same_socket(tmp_path: Path) -> None:
    data = tmp_path / ("d" * 100)
    folder = RunFolder(str(data))
    bound = folder.bind("s", socket.SOCK_STREAM)
    assert (data / "run" / "s").is_socket()
    bound.close()
    folder.close()


def test_a_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FolderError, match="run"):
        RunFolder(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_run_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(FolderError, match="owned by user 12345; wanted one's own folder"):
        RunFolder(str(tmp_path))


def test_a_heart_that_cannot_be_revived_is_an_os_error_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    pidfd = os.pidfd_open(os.getpid())
    link = HeartLink(pidfd, Options(("true",), str(tmp_path / "data")))
    with pytest.raises(OSError, match="run"):
        revive(Inheritance({}, {}, Notifier("", {}), None, link))
    os.close(pidfd)  # still open: it would raise


def test_the_lock_names_its_holder_and_falls_with_it(tmp_path: Path) -> None:
    data = str(tmp_path)
    (tmp_path / "run").mkdir()
    assert pid_file.holder(data) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, data], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert pid_file.holder(data) == process.pid
        with pytest.raises(AlreadyRunningError, match=f"process {process.pid}"):
            pid_file.acquire(data, 0.05)
        process.kill()
    wait_for(lambda: pid_file.holder(data) is None)
    fd = pid_file.acquire(data, 1.0)
    pid_file.release(fd)
    assert pid_file.holder(data) is None


def test_the_store_replaces_removes_and_stays_bounded() -> None:
    store = DescriptorStore()
    store.put("a", [os.dup(0), os.dup(0)])
    store.put("a", [os.dup(0)])
    store.put("b", [os.dup(0)])
    assert [name for name, _ in store.items()] == ["a", "b"]
    store.remove("a")
    store.remove("a")
    assert len(store) == 1
    with pytest.raises(StoreFullError):
        store.put("c", [os.dup(0) for _ in range(200)])
    assert len(store) == 1
    store.close()
    assert len(store) == 0


@pytest.mark.parametrize("text", ["plain", 'quo"te', "back\\slash", "tab\tnul\0", "größer ☃"])
def test_strings_are_written_as_json(text: str) -> None:
    assert json.loads(json_string(text)) == text


def test_named_tuples_are_as_typings() -> None:
    class Pair(NamedTuple):
        """Two."""

        left: int
        right: str = "r"

        def swapped(self) -> tuple[str, int]:
            """The other way round."""
            return (self.right, self.left)

    assert Pair(1) == (1, "r")
    assert Pair(1)._replace(right="x").swapped() == ("x", 1)
    assert Pair._fields == ("left", "right")
    assert Pair._field_defaults == {"right": "r"}
    assert Pair.__doc__ == "Two."
    assert repr(Pair(1)) == "Pair(left=1, right='r')"
    assert Pair.__module__ == __name__
