"""What a pipeline takes, compiled or not."""

import pytest

from osupervisor.bridge.client import Client
from osupervisor.bridge.errors import LocalProtocolError


def test_an_ops_arguments_may_have_any_name() -> None:
    with Client("nowhere") as client:
        pipeline = client.pipeline()
        names = {name: 1 for name in ("op", "self", "args", "kwargs", "link", "options")}
        assert pipeline.call("add", **names).frame == pipeline.add(**names).frame.replace(
            b"\x94\x00\xce\x00\x00\x00\x02", b"\x94\x00\xce\x00\x00\x00\x01"
        ).replace(b"\x00\x02\xa4seen", b"\x00\x01\xa4seen")


@pytest.mark.parametrize("op", [5, None, "", "x" * 129])
def test_an_op_is_a_short_string(op: str) -> None:
    with Client("nowhere") as client:
        for ask in (client.call, client.pipeline().call):
            pytest.raises(LocalProtocolError, ask, op)
