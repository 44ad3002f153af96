"""What the property tests of the settings draw from."""

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from osupervisor.config.catalogue import CATALOGUE, build
from osupervisor.config.duration import BYTES_MAX, SECONDS_MAX, SECONDS_MIN
from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Form, Settings

patient = hypothesis_settings(deadline=None)
"""A loaded machine is no failure."""

seconds = st.one_of(st.just(0.0), st.floats(SECONDS_MIN, SECONDS_MAX))
sizes = st.integers(0, BYTES_MAX)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates()
)
garbage = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=5,
)
"""What TOML, a caller's flags or anything else may hold, and more."""

_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_paths = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20).map(
    lambda text: "/" + text.replace("/", "")
)
_TEXTS = {
    Form.PATH: _paths,
    Form.ADDRESS: st.integers(0, 65_535).map(lambda port: f"127.0.0.1:{port}"),
    Form.TARGET: st.one_of(
        st.builds("{}.{}:{}".format, _names, _names, _names).filter(lambda t: _keeps(t)),
        st.builds("/{}.py:{}".format, _names, _names),
    ),
    None: st.text(),
}


def _keeps(text: str) -> bool:
    return ".py:" not in text


def values_of(setting: Setting) -> st.SearchStrategy[Value]:
    """Values that a setting accepts, its bounds among them."""
    if setting.choices:
        return st.sampled_from(setting.choices)
    if setting.kind is bool:
        return st.booleans()
    if setting.kind is str:
        texts = _TEXTS[setting.form]
        return texts if setting.required else st.one_of(st.just(""), texts)
    if setting.kind is int:
        return st.integers(int(setting.low or 0), int(setting.high or BYTES_MAX))
    assert setting.low is not None and setting.high is not None, setting.key
    inside = st.floats(setting.low, setting.high)
    return inside.filter(lambda value: value == 0 or value >= SECONDS_MIN)


all_values = st.fixed_dictionaries({key: values_of(one) for key, one in CATALOGUE.items()})
"""A good value for every key."""

whole_settings: st.SearchStrategy[Settings] = all_values.map(build)
