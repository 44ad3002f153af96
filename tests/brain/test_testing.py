"""The harness for authors' own tests behaves as the service does."""

import time
from typing import Any

import pytest

from osupervisor.brain import Brain, LoadError, op, query
from osupervisor.brain.testing import run
from osupervisor.brain.witness import UnrecordedChangeError
from osupervisor.bridge.errors import InvalidArguments, OpFailed, OpNotFound
from tests.brain.brains import Counter


class Shop(Brain):
    """Orders that expire, tell, and call on."""

    @op
    def order(self, item: str) -> int:
        orders = self.state.setdefault("orders", [])
        orders.append({"item": item, "at": self.now(), "luck": self.random.random()})
        self.after(60, "expire", item)
        self.cast("note", item=item)
        self.emit("shop.ordered", item=item)
        self.hot["orders"] += 1
        return len(orders)

    @op
    def expire(self, item: str) -> None:
        if item == "bad":
            raise ValueError("can't expire")
        self.state["orders"] = [o for o in self.state["orders"] if o["item"] != item]
        self.emit("shop.expired", item=item, at=self.now())

    @op
    def note(self, *, item: str) -> None:
        self.state["noted"] = self.state.get("noted", 0) + 1

    @op
    def loop(self) -> None:
        self.cast("loop")

    @op
    def cheat(self) -> float:
        self.state["clock"] = time.perf_counter()
        return 0.0

    @op
    def go_round(self, item: str) -> None:
        """What C code does that writes into a list without calling its methods."""
        self.state.setdefault("noted_items", [])
        list[Any].append(self.state["noted_items"], item)

    @query
    def orders(self) -> list[str]:
        return [order["item"] for order in self.state.get("orders", [])]


def test_timers_fire_in_order_at_their_own_time() -> None:
    shop = run(Shop)
    start = shop.now
    shop.call("order", "a")
    shop.advance(10)
    shop.call("order", "b")
    shop.advance(100)
    assert [(e.name, e.payload.get("at")) for e in shop.events if "expired" in e.name] == [
        ("shop.expired", start + 60),
        ("shop.expired", start + 70),
    ]
    assert shop.now == start + 110
    assert shop.call("orders") == []
    assert shop.pending == {}


def test_casts_run_behind_the_call_that_asked_for_them() -> None:
    shop = run(Shop)
    assert shop.call("order", "a") == 1
    assert shop.state["noted"] == 1
    assert shop.hot == {"orders": 1}
    assert [event.name for event in shop.events] == ["shop.ordered"]


def test_endless_casts_are_found() -> None:
    with pytest.raises(AssertionError, match="do they ever end"):
        run(Shop).call("loop")


def test_failure_of_a_timer_is_kept() -> None:
    shop = run(Shop)
    shop.call("order", "bad")
    shop.advance(60)
    assert [type(error) for error in shop.failures] == [OpFailed]
    assert shop.call("orders") == ["bad"]


def test_errors_are_those_of_a_client() -> None:
    counter = run(Counter)
    with pytest.raises(OpFailed, match="ValueError: no x") as failed:
        counter.call("fail", "x")
    assert failed.value.data["type"] == "ValueError"
    assert "raise ValueError" in "".join(failed.value.__notes__)
    with pytest.raises(InvalidArguments, match="n: found 'three'"):
        counter.call("add", "x", n="three")
    with pytest.raises(OpNotFound, match="no op 'nothing'"):
        counter.call("nothing")
    assert counter.state == {}
    counter.check()


def test_crash_recovers_what_the_log_has() -> None:
    shop = run(Shop, seed=3)
    for item in "abc":
        shop.call("order", item)
    before = (shop.state, shop.hot, shop.pending)
    shop.crash()
    assert (shop.state, shop.hot, shop.pending) == before
    shop.advance(60)
    assert shop.call("orders") == []
    shop.check()


def test_check_names_an_op_that_is_not_deterministic() -> None:
    shop = run(Shop)
    shop.call("order", "a")
    shop.check()
    shop.call("cheat")
    with pytest.raises(AssertionError, match="cheat at LSN 4 has other changes"):
        shop.check()


def test_change_behind_the_back_of_the_state_is_found_at_once() -> None:
    with pytest.raises(UnrecordedChangeError, match=r"state\['noted_items'\]: changed without"):
        run(Shop).call("go_round", "a")


def test_same_seed_gives_the_same_run() -> None:
    def play(seed: int) -> tuple[Any, ...]:
        shop = run(Shop, seed=seed)
        for item in "abc":
            shop.call("order", item)
        return shop.state["orders"][0]["luck"], shop.log

    assert play(1) == play(1)
    assert play(1)[0] != play(2)[0]


def test_class_that_is_no_brain_is_refused() -> None:
    class Empty(Brain):
        pass

    with pytest.raises(LoadError, match="no op and no query"):
        run(Empty)
