"""What names a brain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.errors import BadValueError
from osupervisor.config.target import Target, parse_target
from tests.config.strategies import patient


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("brain.py:Counter", Target("brain.py", "", "Counter")),
        ("/srv/a b/brain.py:Counter", Target("/srv/a b/brain.py", "", "Counter")),
        ("../x:y/brain.py:Counter", Target("../x:y/brain.py", "", "Counter")),
        ("package.module:Class", Target("", "package.module", "Class")),
        ("module:Class", Target("", "module", "Class")),
    ],
)
def test_target_is_split_and_written_back(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text",
    ["", ":", "Counter", "brain.py:", ":Counter", "brain.py:my class", "a..b:C", "a-b:C", "a.b:1C"]
    + [".py:Counter", "a/brain.txt:Counter", "a\n.py:C", "brain.py:a.b"],
)
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(BadValueError, match="file.py:Class"):
        parse_target(text)


def test_a_file_alone_is_refused_with_the_missing_half() -> None:
    with pytest.raises(BadValueError, match='"brain.py:Counter"'):
        parse_target("brain.py")


@patient
@given(st.text(alphabet=st.one_of(st.sampled_from(".:py/aC_ \n\0"), st.characters())))
def test_garbage_raises_nothing_but_a_bad_value(text: str) -> None:
    try:
        target = parse_target(text)
    except BadValueError:
        return
    assert str(target) == text
    assert bool(target.file) != bool(target.module)
