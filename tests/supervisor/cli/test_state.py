"""`osupervisor state` and `tree`."""

import json
from typing import Any

import pytest

from osupervisor.supervisor.cli.tree import draw
from tests.supervisor.cli.command import Cli


@pytest.fixture(autouse=True)
def filled(live: Cli) -> None:
    live.ok("call", "put", "bins", '[{"free": 3}, {"free": 5}]')
    live.ok("call", "put", '"7"', '{"a.b": "text", "x": [1, 2, {"08": {"9": 3}}]}')


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("bins", [{"free": 3}, {"free": 5}]),
        ("bins.1.free", 5),
        ('["bins", 1, "free"]', 5),
        ("7.x.1", 2),
        ("7.x.2.08.9", 3),
        ('["7", "a.b"]', "text"),
    ],
)
def test_a_path_leads_to_a_part(live: Cli, path: str, value: object) -> None:
    assert live.json("state", path) == value


def test_without_a_path_it_is_all(live: Cli) -> None:
    found = live.json("state")
    assert found["bins"] == [{"free": 3}, {"free": 5}]
    assert live.json("state", "[]") == found


def test_people_get_texts_as_they_are_and_long_values_on_several_lines(live: Cli) -> None:
    assert live.ok("state", '["7", "a.b"]') == "text\n"
    live.ok("call", "put", "long", "x" * 100)
    assert len(live.ok("state").splitlines()) > 1


@pytest.mark.parametrize("path", ["nope", "bins.9", "bins.free", "bins.0.free.x", '["bins", "0"]'])
def test_a_path_that_leads_nowhere(live: Cli, path: str) -> None:
    ran = live("state", path, "--json")
    assert (ran.code, ran.error()["code"]) == (1, "InvalidArguments")


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("7.x.9", "state['7']['x']: nothing under 9; a list of 3 items"),
        ("7.y.1", "state['7']: nothing under 'y'; a dict of 2 keys: 'a.b', 'x'"),
        ("7.x.2.8.9", "state['7']['x'][2]: nothing under 8; a dict of 1 keys: '08'"),
        ("8", "state: nothing under 8"),
        ("bins.1.free.2", "state['bins'][1]['free']: nothing under 2; found int"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_key_that_failed(
    live: Cli, path: str, told: str
) -> None:
    assert live("state", path, "--json").error()["message"].startswith(told)


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 20, "9" * 5000])
def test_a_key_of_many_digits_is_looked_for(live: Cli, digits: str) -> None:
    live.ok("call", "put", "long", json.dumps({digits: 1}))
    assert live.json("state", f"long.{digits}") == 1
    ran = live("state", f"bins.{digits}", "--json")
    assert (ran.code, ran.error()["code"]) == (1, "InvalidArguments")


@pytest.mark.parametrize("path", ["a..b", ".", "[broken", "[1", f"[{2**64}]", '["\\ud800"]'])
def test_a_path_that_is_none(live: Cli, path: str) -> None:
    assert live("state", path).code == 2


def test_nothing_runs(cli: Cli) -> None:
    assert cli("state").code == 3
    assert cli("tree").code == 3


def test_the_tree_names_every_process(live: Cli) -> None:
    status = live.status()
    tree = live.json("tree")

    def pids(branch: dict[str, Any]) -> set[int]:
        return {branch.get("pid") or 0}.union(*map(pids, branch.get("children", [])))

    assert status["primary"]["pid"] in pids(tree)
    assert str(status["primary"]["pid"]) in live.ok("tree")


def test_a_tree_is_drawn_with_a_line_for_each_child() -> None:
    tree = {
        "id": "root",
        "children": [
            {"id": "a", "phase": "running", "children": [{"id": "b", "pid": 7, "restarts": 2}]},
            {"id": "c", "role": "primary", "phase": "running"},
        ],
    }
    assert list(draw(tree)) == [
        "root",
        "├── a  running",
        "│   └── b  process 7, restarted 2 times",
        "└── c  primary, running",
    ]
