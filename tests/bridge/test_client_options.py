"""What both clients refuse of what they are made with, in words, compiled or not."""

import asyncio
from typing import Any

import pytest

from osupervisor.bridge.async_client import AsyncClient
from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import LocalProtocolError

BAD_OPTIONS: list[tuple[str, object, str]] = [
    ("retries", 1, "found retries 1: wanted True or False"),
    ("retries", None, "found retries None"),
    ("token", b"0123456789abcdef", "found a token that is of type bytes: wanted the text"),
    ("token", "s3cret\udcff", "found a token that is no UTF-8"),
    ("connect_timeout_s", "5", "found connect_timeout_s '5': wanted seconds"),
    ("connect_timeout_s", None, "found connect_timeout_s None"),
    ("connect_timeout_s", True, "found connect_timeout_s True"),
    ("connect_timeout_s", -1, "found connect_timeout_s -1"),
    ("connect_timeout_s", float("nan"), "found connect_timeout_s nan"),
]
BAD_PIPELINES: list[tuple[dict[str, object], str]] = [
    ({"raising": 0}, "found raising 0: wanted True or False"),
    ({"window": 0}, "found the window 0: wanted a number"),
    ({"window": "9"}, "found the window '9'"),
    ({"window": 2.5}, "found the window 2.5"),
    ({"window": True}, "found the window True"),
]


@pytest.mark.parametrize("kind", [Client, AsyncClient])
@pytest.mark.parametrize(("name", "value", "told"), BAD_OPTIONS)
def test_a_client_of_a_bad_option_is_refused(
    kind: type[Client] | type[AsyncClient], name: str, value: Any, told: str
) -> None:
    with pytest.raises(LocalProtocolError, match=told) as caught:
        kind("nowhere", **{name: value})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(("options", "told"), BAD_PIPELINES)
def test_a_pipeline_of_a_bad_option_is_refused(options: dict[str, Any], told: str) -> None:
    async def ask() -> None:
        async with AsyncClient("nowhere") as client:
            client.pipeline(**options)

    with Client("nowhere") as client:
        with pytest.raises(LocalProtocolError, match=told):
            client.pipeline(**options)
    with pytest.raises(LocalProtocolError, match=told):
        asyncio.run(ask())


def test_good_ones_are_taken() -> None:
    for connect_timeout_s in (0, 5, 0.5, float("inf")):
        Client("nowhere", token="t", retries=False, connect_timeout_s=connect_timeout_s).close()
