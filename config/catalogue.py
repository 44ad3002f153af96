"""All settings by their keys, read from the dataclasses of `settings`. Pure.

The dataclasses stay the only place where a setting is declared; here is what they say, flat.
"""

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeGuard, cast, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MinLen

from osupervisor.config.setting import Setting, Value
from osupervisor.config.settings import Form, Key, Settings, Unit


def sections() -> frozenset[str]:
    """The names of the tables: `op`, `wal` and so on."""
    return frozenset(setting.path[0] for setting in CATALOGUE.values() if len(setting.path) > 1)


def nearest(key: str) -> list[str]:
    """The existing keys of which the author of an unknown one probably meant one; most are one.

    First the same name in other tables, then the nearest whole key, then the nearest name. Empty:
    no idea.
    """
    name = _name_of(key)
    if same := [known for known in CATALOGUE if _name_of(known) == name]:
        return same
    if near := get_close_matches(key, CATALOGUE, n=1, cutoff=0.7):
        return near
    near = get_close_matches(name, map(_name_of, CATALOGUE), n=1, cutoff=0.7)
    return [known for known in CATALOGUE if _name_of(known) in near]


def value_of(settings: Settings, setting: Setting) -> Value:
    """What this setting has in `settings`."""
    node: Any = settings
    for name in setting.path:
        node = getattr(node, name)
    return cast(Value, node)


def nested(values: Mapping[str, Value]) -> dict[str, object]:
    """Values by key, as a tree by attributes: `{"op": {"timeout_s": 30.0}, ...}`."""
    tree: dict[str, object] = {}
    for key, value in values.items():
        node = tree
        *tables, name = CATALOGUE[key].path
        for table in tables:
            node = cast(dict[str, object], node.setdefault(table, {}))
        node[name] = value
    return tree


def build(values: Mapping[str, Value]) -> Settings:
    """Settings out of a value for every key; none of them is checked."""
    tree = nested(values)
    hints = get_type_hints(Settings)
    for name in sections():
        tree[name] = hints[name](**cast(dict[str, Any], tree[name]))
    return Settings(**cast(dict[str, Any], tree))


def _name_of(key: str) -> str:
    return key.rpartition(".")[2]


def _read(cls: type, prefix: tuple[str, ...] = ()) -> Iterator[Setting]:
    """The settings of a dataclass and of those in it, in the order of declaration."""
    hints = get_type_hints(cls, include_extras=True)
    for declared in fields(cls):
        hint: object = hints[declared.name]
        if _is_table(hint):
            yield from _read(hint, (*prefix, declared.name))
        else:
            yield _setting(declared, hint, (*prefix, declared.name))


def _setting(declared: Field[Any], hint: object, path: tuple[str, ...]) -> Setting:
    kind, marks = (get_args(hint)[0], get_args(hint)[1:]) if _is_annotated(hint) else (hint, ())
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    name = next((mark.name for mark in marks if isinstance(mark, Key)), path[-1])
    lows = [mark.ge for mark in marks if isinstance(mark, Ge)]
    highs = [mark.le for mark in marks if isinstance(mark, Le)]
    assert declared.default is not MISSING and len(lows) <= 1 and len(highs) <= 1, path
    return Setting(
        key=".".join((*path[:-1], name)),
        path=path,
        kind=str if choices else cast(type, kind),
        default=declared.default,
        unit=next((mark for mark in marks if isinstance(mark, Unit)), None),
        form=next((mark for mark in marks if isinstance(mark, Form)), None),
        choices=choices,
        low=cast(float, lows[0]) if lows else None,
        high=cast(float, highs[0]) if highs else None,
        required=any(isinstance(mark, MinLen) for mark in marks),
    )


def _is_table(hint: object) -> TypeGuard[type]:
    return isinstance(hint, type) and is_dataclass(hint)


def _is_annotated(hint: object) -> bool:
    return get_origin(hint) is Annotated


CATALOGUE: Mapping[str, Setting] = MappingProxyType({s.key: s for s in _read(Settings)})
"""Every setting, in the order of declaration."""
