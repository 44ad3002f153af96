"""Names and numbers of clients."""

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge.identity import CLIENT_BYTES, Identity


def test_every_identity_has_a_name_of_its_own() -> None:
    names = {Identity().client for _ in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {CLIENT_BYTES}


@given(st.permutations(range(1, 13)))
def test_seen_is_the_first_number_that_is_not_settled(order: list[int]) -> None:
    identity = Identity()
    assert [identity.take() for _ in order] == sorted(order)
    settled: set[int] = set()
    for number in order:
        identity.settle(number)
        settled.add(number)
        assert identity.seen == min(set(range(1, 14)) - settled)
    assert identity.take() == 13
