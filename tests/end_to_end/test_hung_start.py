"""A brain that hangs before it is ready, and the nursery that forks it: replaced like any other."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.running import Running, is_gone, nursery, tree, wait_for

Start = Callable[..., Running]
KEYS = 200_000
"""So many operations take a good part of a second to apply."""


def starting(service: Running) -> list[int]:
    """Processes of brains that are not ready yet."""
    brains = [row for row in tree(service) if row["id"].startswith("brain-")]
    return [row["pid"] for row in brains if row["phase"] == "starting" and row["pid"]]


def reads_the_log(pid: int) -> bool:
    """Whether it has a segment open."""
    try:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(link.endswith(".wal") for link in links)


def stop_one_that_reads(service: Running) -> int:
    found: list[int] = []

    def stopped() -> bool:
        found.extend(pid for pid in starting(service) if reads_the_log(pid))
        return bool(found)

    wait_for(stopped, "a brain that reads the log")
    os.kill(found[0], signal.SIGSTOP)
    return found[0]


def test_a_brain_that_is_stopped_while_it_reads_the_log_is_replaced(start: Start) -> None:
    service = start(
        '[brain]\nstandbys = 0\nstart_timeout_s = "1s"\n[checkpoint]\ninterval_s = "1h"\n'
    )
    service.client.call("fill", KEYS)
    service.kill("primary")
    hung = stop_one_that_reads(service)
    assert hung in starting(service), "it was too fast"
    assert service.client.call("get", "nothing") == 0
    assert service.pid("primary") != hung
    rows = service.client.request("system.crashes", ["ls"])
    (cause,) = [row["cause"] for row in rows if row["pid"] == hung]
    assert cause["detail"] == "killed: it was not ready in time"


def test_a_nursery_that_forks_nobody_is_replaced(start: Start) -> None:
    service = start('[brain]\nstandbys = 0\nstart_timeout_s = "1s"\n')
    service.client.put("a")
    hung = nursery(service)
    os.kill(hung, signal.SIGSTOP)
    service.kill("primary")
    assert service.client.put("b") == 2
    assert nursery(service) != hung
    assert [row for row in service.log() if row["message"] == "nursery.silent"]


HANGS = """
import os, threading
if os.path.exists({flag!r}):
    open({flag!r} + ".met", "w").close()
    threading.Event().wait()
"""


def test_a_nursery_whose_import_never_ends_is_replaced(start: Start) -> None:
    """The code may wait for a network; it is tried again, as code that fails is."""
    service = start('[heart]\nstart_timeout_s = "10s"\n')
    service.client.put("a")
    both = {service.pid("primary"), service.pid("standby")}
    hung = hang_an_import(service)
    for brain in both:
        os.kill(brain, signal.SIGKILL)
    assert service.client.put("b") == 2
    assert nursery(service) != hung


def test_a_nursery_that_hangs_ends_with_its_supervisor(start: Start) -> None:
    """It does not come to see that nobody is there any more."""
    service = start()
    service.pid("standby")
    hung = hang_an_import(service)
    service.kill("supervisor")
    wait_for(lambda: is_gone(hung), "its end")
    assert service.client.put("a") == 1


def hang_an_import(service: Running) -> int:
    """The nursery of the next supervisor, whose import hangs; those behind it import well."""
    flag = service.folder / "hang"
    flag.touch()
    code = service.folder / "brain.py"
    code.write_text(HANGS.format(flag=str(flag)) + code.read_text())
    service.kill("supervisor")
    wait_for(flag.with_suffix(".met").exists, "an import that hangs")
    flag.unlink()
    return nursery(service)
