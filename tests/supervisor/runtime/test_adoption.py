"""What is left of brains when their supervisor has died."""

from osupervisor.supervisor.runtime.adoption import PARTS, store_name, whole


def test_only_brains_with_all_their_parts_died_unseen() -> None:
    unseen = [store_name(3, part) for part in PARTS]
    seen = [store_name(4, "pidfd")]
    never_identified = [store_name(5, "line"), store_name(5, "hot")]
    assert whole([*unseen, *seen, *never_identified]) == 1
    assert whole([]) == 0
