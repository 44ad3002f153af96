"""Settings from environment variables: OSUPERVISOR_OP__TIMEOUT_S=5 sets op.timeout_s. Pure.

Two underscores stand for the point of a key. A variable that is near no setting and names no
table of ours is left alone, as others make such names too: Kubernetes does for a service named
osupervisor. One that looks like a misspelt setting is an error, as it would be in a file.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from osupervisor.config.catalogue import CATALOGUE, sections
from osupervisor.config.errors import UnknownKeyError
from osupervisor.config.source import Entry, Gathered, Source, unknown_key

PREFIX = "OSUPERVISOR_"
CONFIG_VARIABLE = "OSUPERVISOR_CONFIG"
PROFILE_VARIABLE = "OSUPERVISOR_PROFILE"
DATA_VARIABLE = "OSUPERVISOR_DATA"
NEAR_RATIO = 0.85
"""How alike two names must be for one to count as the other misspelt: one or two letters."""


def variable_of(key: str) -> str:
    """The variable that sets a key."""
    return PREFIX + key.upper().replace(".", "__")


def add_environment(gathered: Gathered, environ: Mapping[str, str], cwd: Path) -> None:
    """Lays the variables over what was gathered so far; relative paths start at `cwd`.

    OSUPERVISOR_CONFIG and OSUPERVISOR_PROFILE were used before, when the files were chosen. An
    empty OSUPERVISOR_DATA counts as not set: compose files hand on unset variables so.
    """
    known = {variable_of(key): key for key in CATALOGUE}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in (CONFIG_VARIABLE, PROFILE_VARIABLE):
            continue
        if variable == DATA_VARIABLE and not environ[variable]:
            continue
        if variable in known:
            source = Source("environment", variable)
            gathered.entries[known[variable]] = Entry(environ[variable], source, cwd, text=True)
        elif (problem := _misspelt(variable, known)) is not None:
            gathered.problems.append(problem)
        else:
            gathered.ignored.append(variable)


def _misspelt(variable: str, known: Mapping[str, str]) -> UnknownKeyError | None:
    """None: this variable is none of ours.

    Names are compared without the prefix, which would make all alike, and with single
    underscores, as writing one for two is the likeliest mistake.
    """
    plain = {name.removeprefix(PREFIX).replace("__", "_"): name for name in known}
    table, _, name = variable.removeprefix(PREFIX).partition("__")
    ours = bool(name) and table.lower() in sections()
    near = get_close_matches(
        f"{table}_{name}" if name else table, plain, n=1, cutoff=0.6 if ours else NEAR_RATIO
    )
    if not near and not ours:
        return None
    hint = f"did you mean {plain[near[0]]}?" if near else "unset it"
    key = f"{table}.{name}".lower() if name else table.lower()
    return unknown_key(Source("environment", variable), key, hint)
