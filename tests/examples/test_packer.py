"""The packer: its policies against plain loops, and its driver against a service that is killed."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.packer import drive
from examples.packer.brain import Packer
from osupervisor.brain.testing import run
from osupervisor.bridge.errors import InvalidArguments, OpFailed
from tests.mark import marked
from tests.supervisor.cli.command import PATIENCE_S, run_script

PACKER = Path(drive.__file__).parent
CONFIG = str(PACKER / "osupervisor.toml")


@pytest.mark.parametrize("policy", drive.POLICIES)
@pytest.mark.parametrize("seed", range(5))
def test_a_policy_packs_as_plain_loops_do(policy: str, seed: int) -> None:
    print(f"seed {seed}")
    numbers = random.Random(seed)
    capacity = numbers.choice([1, 10, 100, 150])
    items = [numbers.randint(1, capacity) for _ in range(300)]
    packer = run(Packer)
    packer.call("reset", capacity, policy)
    assert [packer.call("place", item) for item in items] == drive.pack(items, capacity, policy)
    packer.check()


def test_the_state_holds_no_more_than_the_open_bins() -> None:
    packer = run(Packer)
    packer.call("reset", 10)
    for item in (6, 3, 7, 10, 3, 1):
        packer.call("place", item)
    assert packer.state["bins"] == 3
    assert packer.state["open"] == {}
    assert packer.hot == {"items": 6, "bins": 3}
    assert packer.call("summary") == {
        "policy": "best_fit",
        "capacity": 10,
        "items": 6,
        "bins": 3,
        "lower_bound": 3,
        "excess_percent": 0.0,
    }


def test_a_crash_between_two_items_changes_nothing() -> None:
    (instance, *_) = drive.load("or1_u120")
    packer = run(Packer)
    placed: list[int] = []
    for item in instance.items:
        placed.append(packer.call("place", item))
        packer.crash()
    assert placed == drive.pack(instance.items, instance.capacity, "best_fit")


@pytest.mark.parametrize("item", [0, -1, "box", 1.5, 10**7])
def test_what_is_no_item_is_refused(item: object) -> None:
    with pytest.raises(InvalidArguments):
        run(Packer).call("place", item)


def test_an_item_that_fits_nowhere_fails_and_changes_nothing() -> None:
    packer = run(Packer)
    packer.call("place", 150)
    before = packer.state
    with pytest.raises(OpFailed, match="fits into no bin"):
        packer.call("place", 151)
    assert packer.state == before


@pytest.mark.parametrize("name", drive.PUBLISHED)
def test_the_instances_are_the_published_ones(name: str) -> None:
    content = json.loads((drive.INSTANCES / f"{name}.json").read_bytes())
    for each in content["instances"]:
        assert len(each["items"]) == each["num_items"]
        assert each["l1"] == -(-sum(each["items"]) // each["capacity"])


@pytest.mark.parametrize("policy", drive.POLICIES)
@pytest.mark.parametrize("name", [name for name in drive.PUBLISHED if name != "weibull_5k"])
def test_plain_loops_come_to_the_published_excess(name: str, policy: str) -> None:
    packed = [
        drive.Packed(one.name, len(one.items), 1 + max(placed), one.l1, True)
        for one in drive.load(name)
        if (placed := drive.pack(one.items, one.capacity, policy))
    ]
    assert round(drive.excess_percent(packed), 2) == drive.PUBLISHED[name][policy]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of a packer service."""
    folder = tmp_path_factory.mktemp("packer") / "data"
    with marked():
        started = run_script(PACKER, "start", "--daemon", "--data", str(folder))
        assert started.returncode == 0, started.stderr
        yield folder


def driven(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(PACKER / "drive.py"), "--data", str(data), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def test_twenty_kills_change_nothing(data: Path) -> None:
    ran = driven(data, "or3_u500", "--index", "3", "--chaos", "20", "--json")
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["kills"] == 20
    assert result["identical"] is True
    (packed,) = result["packed"]
    instance = drive.load("or3_u500")[3]
    wanted = drive.pack(instance.items, instance.capacity, "best_fit")
    assert packed["bins"] == max(wanted) + 1
    assert result["requests"] == 500
    assert result["requests_per_s"] > 0 and result["worst_delay_ms"] > 0


def test_people_get_the_five_figures(data: Path) -> None:
    ran = driven(data, "or1_u120", "--policy", "first_fit", "--chaos", "1")
    assert ran.returncode == 0, ran.stderr
    for words in ("bins ", "% over the lower bound of 48", "kills        1", "identical    yes"):
        assert words in ran.stdout
    assert "requests/s " in ran.stdout and "worst delay " in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["--chaos", "-1"],
        ["--chaos", "many"],
        ["--policy", "worst_fit"],
        ["or1_u120", "--index", "20"],
        ["or1_u120", "--chaos", "121"],
        ["or1_u120", "--chaos", "120"],
    ],
)
def test_wrong_usage(data: Path, arguments: list[str]) -> None:
    ran = driven(data, *arguments)
    assert ran.returncode != 0
    assert "Traceback" not in ran.stderr


def test_without_a_service_it_says_how_to_start_one(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    ran = driven(tmp_path / "data")
    assert ran.returncode == 1
    assert "osupervisor start" in ran.stderr
