"""docs/PROTOCOL.md, held to what the code does: its frames, tables, limits, and its client."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from osupervisor.bridge import call, call_options, errors, messages, methods, session
from osupervisor.bridge.call_encoder import CallEncoder
from osupervisor.bridge.errors import OpFailed, Overloaded, error_map
from osupervisor.bridge.frames import FRAME_BYTES_MAX, frame, split
from osupervisor.bridge.messages import answer, outcome_of_error, outcome_of_result
from osupervisor.bridge.session import RULES, Refusal, Sent, Session, State
from tests.bridge.calls import body, unpacked
from tests.bridge.golden_frames import FRAMES
from tests.bridge.service import Break, Service

PAGE = (Path(__file__).parents[2] / "docs" / "PROTOCOL.md").read_text()
NAME = bytes(range(0xA0, 0xB0))
ON_PAGE = dict(re.findall(r"```frame (\S+)\n(.*?)\n```", PAGE, re.DOTALL))
FAILED = OpFailed(
    "ValueError: no",
    "the state is as it was before the call",
    {"type": "ValueError", "message": "no", "traceback": "..."},
)

MADE: dict[str, Callable[[], bytes]] = {
    "ping": lambda: messages.request(1, "kernel.ping", []),
    "pong": lambda: messages.response(1, "pong"),
    "hello": lambda: messages.request(0, "kernel.hello", [{"token": "s3cret", "protocol": 1}]),
    "refused": lambda: refusal_of(messages.request(2, "no.such", [])),
    "state": lambda: messages.request(3, "brain.state", [["bins", 0]]),
    "call": lambda: frame(body(7, "add", ["hits"], {"n": 3}, {"key": ["c1", 7], "seen": 5})),
    "library-call": lambda: CallEncoder(NAME).frame("add", ("hits",), {"n": 3}, 7, 5),
    "call-with-options": lambda: frame(
        body(
            8,
            "add",
            ["hits"],
            {},
            {"key": "order-17", "session": "s1", "timeout_s": 2.5, "durability": "always"},
        )
    ),
    "result": lambda: answer(7, outcome_of_result(3)),
    "failed": lambda: answer(8, outcome_of_error(FAILED.to_map())),
    "overloaded": lambda: messages.failure(9, Overloaded("the queue is full").to_map()),
    "closing": lambda: messages.notification(
        "kernel.error", [error_map("ProtocolError", "a frame is too long", "send less at once")]
    ),
}


def refusal_of(data: bytes) -> bytes:
    (event,) = Session().receive(data)
    assert isinstance(event, Refusal)
    return event.frame


def rendered(value: object) -> str:
    """As the page writes a value: JSON, and h'...' for a binary."""
    match value:
        case bytes():
            return f"h'{value.hex()}'"
        case list():
            return f"[{', '.join(map(rendered, value))}]"  # pyright: ignore[reportUnknownArgumentType]
        case dict():
            pairs = [f"{rendered(k)}: {rendered(v)}" for k, v in value.items()]  # pyright: ignore
            return f"{{{', '.join(pairs)}}}"
        case _:
            return json.dumps(value)


@pytest.mark.parametrize("name", FRAMES)
def test_a_golden_frame_is_what_the_code_makes(name: str) -> None:
    assert MADE[name]() == FRAMES[name]


@pytest.mark.parametrize("name", FRAMES)
def test_a_golden_frame_stands_on_the_page_with_its_meaning(name: str) -> None:
    lines = ON_PAGE[name].splitlines()
    is_hex = [re.fullmatch(r"[0-9a-f]{2}( [0-9a-f]{2})*", line) is not None for line in lines]
    assert (
        bytes.fromhex(" ".join(x for x, h in zip(lines, is_hex, strict=True) if h)) == FRAMES[name]
    )
    meaning = " ".join(x for x, h in zip(lines, is_hex, strict=True) if not h)
    (message,), _ = split(FRAMES[name])
    assert meaning == rendered(unpacked(message))


def test_the_page_the_file_and_the_code_have_the_same_frames() -> None:
    assert ON_PAGE.keys() == FRAMES.keys() == MADE.keys()


@pytest.mark.parametrize("name", ["call", "library-call", "call-with-options"])
def test_a_golden_call_is_understood(name: str) -> None:
    found = call.parse_call(FRAMES[name][4:])
    assert found is not None and found.op == "add"


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its first."""
    under = PAGE.split(f"\n## {heading}\n", 1)[1]
    rows = re.search(r"\n((?:\|.*\n)+)", under)
    assert rows is not None
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]
    return [[cell.strip(" |") for cell in row] for row in cells[2:]]


def test_the_page_lists_every_method() -> None:
    listed = [row[0].strip("`") for row in table("4. Methods")]
    assert listed == list(methods.METHODS)


def test_the_page_says_what_must_not_be_sent_again() -> None:
    sentence = re.search(r"\n((?:`system\.\w+`[, and]*)+) must not be sent again", PAGE)
    assert sentence is not None
    once = {name for name, method in methods.METHODS.items() if not method.repeatable}
    assert set(re.findall(r"`([\w.]+)`", sentence[1])) == once


def test_the_page_lists_every_error_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no|see hint) \|", PAGE, re.MULTILINE)
    assert {code for code, _ in rows} == errors.CODES
    assert {code for code, final in rows if final == "no"} == errors.RETRYABLE


def test_the_page_lists_every_option() -> None:
    options = methods.OPTIONS_SCHEMA["properties"]
    assert isinstance(options, dict)
    listed = re.findall(r"^\| `(\w+)` \| ", PAGE.split("## 5.")[1].split("## 6.")[0], re.MULTILINE)
    assert listed[4:] == list(options)  # pyright: ignore[reportUnknownArgumentType]


def test_the_page_gives_the_limits_of_the_code() -> None:
    numbers = [int(re.sub(r"\D", "", row[1])) for row in table("8. Limits")]
    assert numbers == [
        FRAME_BYTES_MAX,
        session.CONTROL_BYTES_MAX,
        session.HELLO_BYTES_MAX,
        messages.METHOD_BYTES_MAX,
        call.OP_BYTES_MAX,
        call.NESTING_MAX,
        call_options.OPTIONS_BYTES_MAX,
        call_options.STRING_KEY_BYTES_MAX,
        call_options.CLIENT_BYTES_MAX,
        call_options.SESSION_BYTES_MAX,
        call_options.TIMEOUT_S_MAX,
    ]


def test_the_pages_version_is_the_codes() -> None:
    assert f"\nVersion {methods.PROTOCOL_VERSION}." in PAGE


def test_the_pages_table_of_states_is_the_sessions() -> None:
    rows = re.findall(r"^\| `(new|open)` \| (.*) \| (.*) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 2
    for name, *cells in rows:
        state = State(name)
        sent = [Sent.HELLO, Sent.CALL, Sent.OTHER, Sent.NONSENSE]
        for cell, what in zip(cells, sent, strict=True):
            closed = RULES[state, what] is State.CLOSING
            assert closed == (cell.strip() == "closed"), (name, what)
        assert RULES[state, Sent.BAD_HELLO] is State.CLOSING


@pytest.fixture
def small_client() -> Iterator[Any]:
    """The class of the page's last section."""
    source = re.search(r"```python client\n(.*?)\n```", PAGE, re.DOTALL)
    assert source is not None
    names: dict[str, Any] = {}
    exec(compile(source[1], "PROTOCOL.md", "exec"), names)
    yield names["SmallClient"]


def test_the_pages_client_calls_exactly_once(tmp_path: Path, small_client: Any) -> None:
    breaks = [Break("read", 30), Break("executed", 60), Break("written", 5), Break("written", 40)]
    not_now = [outcome_of_error(Overloaded("not now").to_map())] * 2
    with Service(tmp_path / "s", breaks, refusals=not_now) as service:
        client = small_client(str(service.path))
        assert [client.call("add", "hits") for _ in range(20)] == list(range(1, 21))
        assert client.call("echo", 1, b=b"2") == [[1], {"b": b"2"}]
        with pytest.raises(RuntimeError, match="OpFailed"):
            client.call("fail", "x")
        assert set(service.ledger.executions.values()) == {1}
        assert service.ledger.remembered <= 1
        client.close()


def test_the_pages_client_waits_for_a_service_that_starts_late(
    tmp_path: Path, small_client: Any
) -> None:
    client = small_client(str(tmp_path / "s"))
    results: list[int] = []
    asking = threading.Thread(target=lambda: results.append(client.call("add", "hits")))
    asking.start()
    with Service(tmp_path / "s"):
        asking.join()
    client.close()
    assert results == [1]
