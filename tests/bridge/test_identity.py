"""Names and numbers of clients."""

import time

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.bridge.identity import CLIENT_BYTES, RENEW_S, Identity


def test_every_identity_has_a_name_of_its_own() -> None:
    names = {Identity().client for _ in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {CLIENT_BYTES}


def test_a_name_begins_with_the_services_time() -> None:
    identity = Identity()
    assert abs(int.from_bytes(identity.client[:8], "big") / 1e6 - time.time()) < 60
    assert identity.learn(10_000_000, 4.0)
    identity.rename(6.5)
    assert int.from_bytes(identity.client[:8], "big") == 12_500_000
    assert identity.renew_at == 6.5 + RENEW_S
    assert not identity.learn(10_500_000, 4.2)
    assert identity.learn(20_000_000, 4.0)


def test_a_time_before_1970_makes_a_name_too() -> None:
    identity = Identity()
    identity.learn(0, 100.0)
    identity.rename(1.0)
    assert identity.client[:8] == bytes(8)


@given(st.permutations(range(1, 13)))
def test_seen_is_the_first_number_that_is_not_settled(order: list[int]) -> None:
    identity = Identity()
    assert [identity.take() for _ in order] == sorted(order)
    settled: set[int] = set()
    for number in order:
        identity.settle([number])
        settled.add(number)
        assert identity.seen == min(set(range(1, 14)) - settled)
    assert identity.take() == 13


@given(st.permutations(range(1, 13)), st.integers(0, 12))
def test_numbers_may_be_settled_together(order: list[int], at: int) -> None:
    one, many = Identity(), Identity()
    for number in order:
        one.settle([number])
    many.settle(order[:at])
    many.settle(order[at:])
    assert one.seen == many.seen == 13
