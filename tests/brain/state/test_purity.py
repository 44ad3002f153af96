"""C code does not go round the tracked containers; each case runs in a process of its own."""

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import sys
{before}
from osupervisor.brain import purity
purity.install()
purity.install()
import bisect, collections, heapq, itertools, operator, random
from osupervisor.brain.state import StateTree
tree, follower = StateTree({{"q": [5, 1, 4], "d": {{}}}}), StateTree({{"q": [5, 1, 4], "d": {{}}}})
q, d = tree.root["q"], tree.root["d"]
tree.begin()
"""
TAIL = """
ops, undo = tree.finish()
assert ops != b"\\x90", "nothing was recorded"
follower.apply(ops)
assert follower.plain() == tree.plain(), (follower.plain(), tree.plain())
wanted = {wanted}
assert tree.root["q"] == wanted, tree.root["q"]
tree.rollback(undo)
assert tree.plain()[0]["q"] == [5, 1, 4]
"""


def run(before: str, act: str, wanted: str) -> None:
    code = HEAD.format(before=before) + textwrap.dedent(act) + TAIL.format(wanted=wanted)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


CASES = {
    "heapify": ("heapq.heapify(q)", "[1, 5, 4]"),
    "heappush": ("heapq.heapify(q); heapq.heappush(q, 0)", "[0, 1, 4, 5]"),
    "heappop": ("heapq.heapify(q); assert heapq.heappop(q) == 1", "[4, 5]"),
    "heapreplace": ("heapq.heapify(q); heapq.heapreplace(q, 9)", "[4, 5, 9]"),
    "heappushpop": ("heapq.heapify(q); heapq.heappushpop(q, 9)", "[4, 5, 9]"),
    "heap of lists": (
        "q.clear()\nfor n in (3, 1, 2): heapq.heappush(q, [n, 'job'])\n"
        "assert heapq.heappop(q) == [1, 'job']",
        "[[2, 'job'], [3, 'job']]",
    ),
    "insort": ("q.sort(); bisect.insort(q, 3); bisect.insort_left(q, 4)", "[1, 3, 4, 4, 5]"),
    "shuffle": ("random.Random(1).shuffle(q)", "q"),
    "operator.setitem": ("operator.setitem(q, 0, 7)", "[7, 1, 4]"),
    "operator.delitem": ("operator.delitem(q, 0)", "[1, 4]"),
    "operator.iadd": ("operator.iadd(q, [7])", "[5, 1, 4, 7]"),
    "operator.imul": ("operator.imul(q, 2)", "[5, 1, 4, 5, 1, 4]"),
    "map": ("list(map(q.append, [1, 2]))", "[5, 1, 4, 1, 2]"),
    "deque": ("collections.deque(map(q.append, [1]), 0)", "[5, 1, 4, 1]"),
    "unpacking": ("q[0], *q[1:] = [7, 8, 9]", "[7, 8, 9]"),
    "for target": ("for q[0] in range(3): pass", "[2, 1, 4]"),
    "walrus and slices": ("q[len(q):] = q[:1]", "[5, 1, 4, 5]"),
}


@pytest.mark.parametrize("case", CASES)
def test_library_code_that_changes_a_list_is_recorded(case: str) -> None:
    act, wanted = CASES[case]
    run("", act, wanted)


@pytest.mark.parametrize(
    "before", ["import heapq", "import heapq, asyncio, queue", "import _heapq"]
)
def test_heapq_that_was_imported_before_is_replaced(before: str) -> None:
    run(before, "heapq.heapify(q); heapq.heappush(q, 0)", "[0, 1, 4, 5]")


def test_heapq_works_on_plain_lists_and_merges() -> None:
    act = """
    plain = [3, 1, 2]
    heapq.heapify(plain)
    assert [heapq.heappop(plain) for _ in range(3)] == [1, 2, 3]
    assert list(heapq.merge([1, 3], [2])) == [1, 2, 3]
    assert heapq.nsmallest(2, q) == [1, 4] and heapq.nlargest(1, q) == [5]
    q.append(0)
    """
    run("", act, "[5, 1, 4, 0]")
