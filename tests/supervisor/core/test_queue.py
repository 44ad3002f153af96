"""The queue of calls against a plain list."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from osupervisor.supervisor.core.call import Call
from osupervisor.supervisor.core.queue import CallQueue


def _call(size: int) -> Call:
    call = Call(str(size), b"", 0, "op", b"", 0, [], 0, 0, size=size)
    call.n = 5
    return call


def _has_size(size: int, call: Call) -> bool:
    return call.size == size


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.integers(0, 9)),
            st.tuples(st.just("pop"), st.just(0)),
            st.tuples(st.just("back"), st.integers(0, 4)),
            st.tuples(st.just("remove"), st.integers(0, 9)),
        ),
        max_size=60,
    )
)
def test_it_is_a_list_with_a_head(steps: list[tuple[str, int]]) -> None:
    queue, model, out = CallQueue(5, 20), list[Call](), list[Call]()
    for what, number in steps:
        if what == "append" and queue.has_room(number):
            model.append(_call(number))
            queue.append(model[-1])
        elif what == "pop" and queue:
            out.append(model.pop(0))
            assert queue.pop() is out[-1]
        elif what == "back":
            back, out = out[:number], out[number:]
            queue.put_back(back)
            model = back + model
            assert all(call.n == 0 for call in back)
        elif what == "remove":
            taken = queue.remove_if(partial(_has_size, number))
            assert taken == [call for call in model if call.size == number]
            model = [call for call in model if call.size != number]
        assert list(queue) == model and len(queue) == len(model)
        assert queue.size_bytes == sum(call.size for call in model)
        full = len(model) >= 5 or sum(call.size for call in model) + 3 > 20
        assert queue.has_room(3) is not full
