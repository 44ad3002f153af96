"""Which source wins, what the files are, and that every mistake is told at once."""

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from osupervisor.config.catalogue import CATALOGUE, value_of
from osupervisor.config.environment import variable_of
from osupervisor.config.errors import (
    BadValueError,
    ContradictionError,
    SettingsError,
    UnknownKeyError,
    UnreadableFileError,
)
from osupervisor.config.layers import FOLDER, gather
from osupervisor.config.load import Loaded, ProfileName, load, load_with_provenance
from osupervisor.config.toml_file import read_toml
from tests.config.strategies import garbage, patient


class Place:
    """A folder with an osupervisor.toml, and what is loaded there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "osupervisor.toml"

    def load(
        self,
        text: str = "",
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
        profile: ProfileName | None = None,
    ) -> Loaded:
        self.file.write_text(text, encoding="utf-8")
        return load_with_provenance(None, environ or {}, flags or {}, profile, cwd=self.folder)

    def refused(
        self,
        text: str = "",
        environ: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> SettingsError:
        with pytest.raises(SettingsError) as caught:
            self.load(text, environ, flags)
        return caught.value


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_source_wins_over_those_before_it(place: Place) -> None:
    text = "[op]\ntimeout_s = 7"
    variables = {"OSUPERVISOR_OP__TIMEOUT_S": "8s"}
    flags = {"op.timeout_s": "9s"}
    assert place.load().settings.op.timeout_s == 30
    assert place.load(profile="test").settings.op.timeout_s == 5
    assert place.load(text, profile="test").settings.op.timeout_s == 7
    assert place.load(text, variables, profile="test").settings.op.timeout_s == 8
    assert place.load(text, variables, flags, "test").settings.op.timeout_s == 9


def test_provenance_tells_who_set_each_key(place: Place) -> None:
    loaded = place.load(
        "# mine\nwindow = 3\n[op]\ntimeout_s = 7\n",
        {"OSUPERVISOR_TAPE__KEEP": "1d"},
        {"checkpoint.kept": 2, "data": None},
        "dev",
    )
    told = {key: str(source) for key, source in loaded.provenance.items()}
    assert list(told) == list(CATALOGUE)
    assert told["queue_max"] == "default"
    assert told["data"] == "default"
    assert told["op.wait_timeout_s"] == "profile dev"
    assert told["window"] == f"{place.file}:2"
    assert told["op.timeout_s"] == f"{place.file}:4"
    assert told["tape.keep"] == "OSUPERVISOR_TAPE__KEEP"
    assert told["checkpoint.kept"] == "command line"
    assert [path.name for path in loaded.files] == ["default.toml", "osupervisor.toml", "dev.toml"]
    assert loaded.config_file == place.file


def test_without_any_file_the_defaults_hold(tmp_path: Path) -> None:
    loaded = load_with_provenance(None, {}, {}, None, cwd=tmp_path)
    assert loaded.config_file is None
    assert loaded.settings.op.timeout_s == 30


def test_the_current_folder_is_the_one_that_is_looked_in(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.file.write_text("window = 9", encoding="utf-8")
    monkeypatch.chdir(place.folder)
    assert load(None, {}, {}, None).window == 9


def test_the_file_is_named_by_flag_then_by_variable(place: Place) -> None:
    (place.folder / "a.toml").write_text("window = 1", encoding="utf-8")
    (place.folder / "b.toml").write_text("window = 2", encoding="utf-8")
    variable = {"OSUPERVISOR_CONFIG": "b.toml"}
    place.file.write_text("window = 3", encoding="utf-8")
    assert load(Path("a.toml"), variable, {}, None, cwd=place.folder).window == 1
    assert load(None, variable, {}, None, cwd=place.folder).window == 2
    assert load(None, {"OSUPERVISOR_CONFIG": ""}, {}, None, cwd=place.folder).window == 3


@pytest.mark.parametrize("environ", [{}, {"OSUPERVISOR_CONFIG": "nowhere.toml"}])
def test_a_file_that_was_named_must_exist(tmp_path: Path, environ: dict[str, str]) -> None:
    named = None if environ else Path("nowhere.toml")
    with pytest.raises(UnreadableFileError, match=r"nowhere\.toml: found no such file"):
        load(named, environ, {}, None, cwd=tmp_path)


def test_a_broken_link_is_no_absent_file(place: Place) -> None:
    place.file.symlink_to("nowhere")
    with pytest.raises(UnreadableFileError):
        load(None, {}, {}, None, cwd=place.folder)


def test_profile_is_chosen_by_flag_then_variable_then_file(place: Place) -> None:
    text, variable = 'profile = "dev"', {"OSUPERVISOR_PROFILE": "prod"}
    assert place.load().settings.profile == ""
    assert place.load(text).settings.profile == "dev"
    assert place.load(text, variable).settings.profile == "prod"
    assert place.load(text, variable, profile="test").settings.profile == "test"
    assert place.load(text, {"OSUPERVISOR_PROFILE": ""}).settings.profile == "dev"
    assert place.load(text, variable, {"profile": "test"}).settings.profile == "test"
    assert str(place.load(text, variable).provenance["profile"]) == "OSUPERVISOR_PROFILE"
    assert str(place.load(text).provenance["profile"]) == f"{place.file}:1"


def test_a_profile_lies_below_the_file_that_chose_it(place: Place) -> None:
    settings = place.load('profile = "test"\n[checkpoint]\ninterval_s = 77').settings
    assert settings.checkpoint.interval_s == 77
    assert settings.checkpoint.wal_bytes == 4 * 1024**2


@pytest.mark.parametrize(
    ("text", "environ", "place_of_it"),
    [
        ('profile = "pord"', {}, "osupervisor.toml:1"),
        ("", {"OSUPERVISOR_PROFILE": "pord"}, "OSUPERVISOR_PROFILE"),
    ],
)
def test_an_unknown_profile_is_refused_once_with_the_nearest(
    place: Place, text: str, environ: dict[str, str], place_of_it: str
) -> None:
    error = place.refused(text, environ)
    assert place_of_it in error.message() and 'did you mean "prod"?' in error.hint
    assert error.more == ()


def test_an_error_has_file_line_key_found_wanted_and_what_to_do(place: Place) -> None:
    error = place.refused('[op]\ntimeout_s = "soon"\n')
    assert isinstance(error, BadValueError)
    assert error.as_dict() == {
        "file": str(place.file),
        "line": 2,
        "key": "op.timeout_s",
        "found": '"soon"',
        "wanted": 'a duration from 1ms to 1d, such as 10, "500ms", "2s" or "5m"',
        "hint": "correct it, or take it out to get the default, 30s",
        "message": str(error),
    }
    assert str(error).startswith(f'{place.file}:2: op.timeout_s: found "soon", wanted a duration')


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(place: Place) -> None:
    error = place.refused(
        "queue = 1\nwindow = 0\n[wall]\n[op]\ntimeout_s = 'x'\n",
        {"OSUPERVISOR_WINDOWS": "1"},
        {"nothing": 1},
    )
    told = [(one.key, one.line) for one in (error, *error.more)]
    assert told == [
        ("queue", 1),
        ("window", 2),
        ("wall", 3),
        ("op.timeout_s", 5),
        ("windows", None),
        ("nothing", None),
    ]
    assert len(str(error).splitlines()) == len(told)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[op]\ntimout_s = 3", "did you mean op.timeout_s?"),
        ("[op]\ntimeout = 3", "did you mean op.timeout_s?"),
        ("[tape]\nkeep_s = 3", "did you mean tape.keep?"),
        ("[health]\nwal_bytes = 3", "did you mean checkpoint.wal_bytes?"),
        ("silence_s = 3", "did you mean health.silence_s?"),
        ("[checkpoints]\nkept = 3", "did you mean [checkpoint]?"),
        ("[queue]\nmax = 3", "did you mean queue_max?"),
        ("frobnicate = 3", "take it out"),
        ('"op.timeout_s" = 3', "write it below a line [op], without the quotes"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(place: Place, text: str, hint: str) -> None:
    error = place.refused(text)
    assert isinstance(error, UnknownKeyError)
    assert hint in error.hint
    assert error.line == len(text.splitlines()) or error.key in ("queue", "checkpoints")


@pytest.mark.parametrize(
    "text",
    ["op = 3", "op = 'x'", "[[op]]\ntimeout_s = 3", "op = []", "op = 2026-01-01"],
)
def test_a_table_that_is_none_is_refused(place: Place, text: str) -> None:
    error = place.refused(text)
    assert error.key == "op" and "[op]" in error.wanted and error.line == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[op]\ntimeout_s = 0", "op.timeout_s"),
        ("[op]\ntimeout_s = '2d'", "op.timeout_s"),
        ("[op]\ntimeout_s = nan", "op.timeout_s"),
        ("[op]\ntimeout_s = inf", "op.timeout_s"),
        ("[op]\ntimeout_s = true", "op.timeout_s"),
        ("[op]\ntimeout_s = [1]", "op.timeout_s"),
        ("[op.timeout_s]\nx = 1", "op.timeout_s"),
        ("[op]\ntimeout_s = 2026-01-01", "op.timeout_s"),
        ("window = 0", "window"),
        ("window = 65537", "window"),
        ("window = 1.0", "window"),
        ("window = true", "window"),
        ("window = '3'", "window"),
        ("window = 99999999999999999999999999", "window"),
        ("[wal]\nsegment_bytes_max = '64M'", "wal.segment_bytes_max"),
        ("[wal]\nsegment_bytes_max = 1", "wal.segment_bytes_max"),
        ("[checkpoint]\nlevel = 20", "checkpoint.level"),
        ("[health]\nrss_share_max = 0", "health.rss_share_max"),
        ("[health]\nrss_share_max = '101%'", "health.rss_share_max"),
        ("[heart]\nspare = 'true'", "heart.spare"),
        ("[heart]\nspare = 1", "heart.spare"),
        ("durability = 'Always'", "durability"),
        ("durability = true", "durability"),
        ("[logs]\nlevel = 'warn'", "logs.level"),
        ("data = ''", "data"),
        ("data = 3", "data"),
        ('data = "a\\u0000b"', "data"),
        ('data = "a\\nb"', "data"),
        (f"data = '{'x' * 5000}'", "data"),
        ("target = 'brain.py'", "target"),
        ("[listen]\ntcp = 7070", "listen.tcp"),
        ("[listen]\ntcp = ':7070'", "listen.tcp"),
        ("[metrics]\nhttp = 'x'", "metrics.http"),
    ],
)
def test_a_bad_value_is_refused_by_its_key(place: Place, text: str, key: str) -> None:
    error = place.refused(text)
    assert isinstance(error, BadValueError)
    assert (error.key, error.file, error.more) == (key, str(place.file), ())
    assert error.wanted == CATALOGUE[key].wanted()
    assert len(error.message()) < 600


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("[op]\ntimeout_s = 2", "op.timeout_s", 2.0),
        ("[op]\ntimeout_s = 0.5", "op.timeout_s", 0.5),
        ("[op]\ntimeout_s = '1d'", "op.timeout_s", 86_400.0),
        ("op.timeout_s = '5m'", "op.timeout_s", 300.0),
        ("op = {timeout_s = '5m'}", "op.timeout_s", 300.0),
        ("[tape]\nkeep = '30d'", "tape.keep", 2_592_000.0),
        ("[tape]\nbytes_max = 0", "tape.bytes_max", 0),
        ("[wal]\nsegment_bytes_max = 65536", "wal.segment_bytes_max", 65_536),
        ("[health]\nrss_share_max = 1", "health.rss_share_max", 1.0),
        ("[health]\nrss_share_max = '60%'", "health.rss_share_max", 0.6),
        ("queue_max = 0x10", "queue_max", 16),
    ],
)
def test_a_good_value_is_taken(place: Place, text: str, key: str, value: object) -> None:
    found = value_of(place.load(text).settings, CATALOGUE[key])
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[listen]\ntcp = '127.0.0.1:1'", "listen.token_file"),
        ("[health]\nsuspicion_s = 6", "health.suspicion_s"),
        ("[health]\nping_interval_s = 6", "health.ping_interval_s"),
        ("[health]\nsilence_s = 0.5\nping_interval_s = 0.1", "health.suspicion_s"),
        ("[supervision]\nbackoff_initial_s = 31", "supervision.backoff_initial_s"),
        ("[heart]\nbackoff_max_s = 0.01", "heart.backoff_initial_s"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_where_the_user_wrote(
    place: Place, text: str, key: str
) -> None:
    error = place.refused(text)
    assert isinstance(error, ContradictionError)
    assert (error.key, error.file, error.line) == (key, str(place.file), 2)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[wal]\nsync_interval_s = 5", "wal.sync_interval_s"),
        ("[tape]\nbytes_max = '1MiB'", "tape.bytes_max"),
        ("[brain]\nstandbys = 0", "brain.standbys"),
        ("[op]\nwait_timeout_s = 1", "op.wait_timeout_s"),
        ("[listen]\ntcp = '0.0.0.0:1'\ntoken_file = 't'", "listen.tcp"),
        ("[metrics]\nhttp = '[::]:0'", "metrics.http"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(place: Place, text: str, key: str) -> None:
    (warning,) = place.load(text).warnings
    assert key in warning


NUMBERS = [key for key, one in CATALOGUE.items() if one.kind in (int, float)]
written = st.dictionaries(st.sampled_from(NUMBERS), st.integers(1, 60), max_size=8)


@patient
@given(written, written, written, st.sampled_from([None, "dev", "prod", "test"]))
def test_layers_lie_over_each_other_as_dictionaries_do(
    file: dict[str, int],
    variables: dict[str, int],
    flags: dict[str, int],
    profile: ProfileName | None,
) -> None:
    """The model: the strongest layer that has a key decides it, whatever else was written."""
    profile_file = FOLDER / f"{profile}.toml"
    below = set(read_toml(profile_file).lines) & set(CATALOGUE) if profile else set[str]()
    with TemporaryDirectory() as name:
        path = Path(name) / "mine.toml"
        path.write_text("".join(f"{key} = {value}\n" for key, value in file.items()))
        environ = {variable_of(key): f"{value}" for key, value in variables.items()}
        gathered = gather(path, environ, flags, profile, Path(name))
    assert gathered.problems == []
    for key in NUMBERS:
        layers = (("flag", flags), ("environment", variables), ("file", file), ("profile", below))
        kind = next((kind for kind, layer in layers if key in layer), "default")
        assert gathered.entries[key].source.kind == kind, key
        strongest = {**file, **variables, **flags}.get(key)
        if strongest is not None:
            assert int(str(gathered.entries[key].raw)) == strongest, key


def test_a_removed_current_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").mkdir()
    os.chdir("gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UnreadableFileError, match="removed"):
        load(None, {}, {}, None)


def test_a_file_that_may_be_there_and_cant_be_seen_is_refused(place: Place) -> None:
    place.file.touch()
    place.folder.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65_534)  # root sees every file
    try:
        with pytest.raises(UnreadableFileError, match="may not be read"):
            load(None, {}, {}, None, cwd=place.folder)
    finally:
        os.seteuid(user)
        place.folder.chmod(0o700)


def test_a_flag_may_be_a_path(place: Place) -> None:
    assert place.load("", {}, {"data": Path("d")}).settings.data == str(place.folder / "d")


@patient
@given(st.dictionaries(st.sampled_from([*CATALOGUE, "op", "x", "op.x"]), garbage, max_size=4))
def test_garbage_from_a_caller_raises_nothing_but_a_settings_error(
    flags: dict[str, object],
) -> None:
    try:
        settings = load(None, {}, flags, None, cwd=Path("/"))
    except SettingsError as error:
        assert all(one.file == "command line" for one in (error, *error.more))
        assert len(str(error).splitlines()) == 1 + len(error.more)
    else:
        assert all(one.accepts(value_of(settings, one)) for one in CATALOGUE.values())
