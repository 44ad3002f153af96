"""A strict reader of Prometheus' text format: what a scraper takes, and nothing more.

Each family: HELP, then TYPE, then all its samples, once, without a gap. No series twice.
A histogram's buckets rise with their bounds and end in +Inf, which equals its count.
"""

import re
from dataclasses import dataclass, field

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_HELP = re.compile(rf"# HELP ({_NAME}) (.*)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.+)\}})? (\S+)")
_PAIR = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(,|$)')
_NUMBER = re.compile(r"[+-]?Inf|NaN|-?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")

Labels = tuple[tuple[str, str], ...]


@dataclass
class Family:
    help: str
    kind: str
    samples: dict[tuple[str, Labels], float] = field(
        default_factory=dict[tuple[str, Labels], float]
    )


def parse(text: str) -> dict[str, Family]:
    """Raises AssertionError at the first thing that is not so."""
    assert text == "" or text.endswith("\n")
    families: dict[str, Family] = {}
    name, lines = "", iter(text.split("\n")[:-1])
    for line in lines:
        if line.startswith("# HELP"):
            name, family = _header(line, next(lines))
            assert name not in families, f"{name} twice"
            families[name] = family
        else:
            _add_sample(name, families[name], line)
    for name, family in families.items():
        assert family.samples, f"{name} has no sample"
        if family.kind == "histogram":
            _check_histogram(name, family)
    return families


def _header(first: str, second: str) -> tuple[str, Family]:
    help_, type_ = _HELP.fullmatch(first), _TYPE.fullmatch(second)
    assert help_ and type_ and help_[1] == type_[1], (first, second)
    return help_[1], Family(_unescape(help_[2], quotes=False), type_[2])


def _add_sample(name: str, family: Family, line: str) -> None:
    match = _SAMPLE.fullmatch(line)
    assert match, line
    suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
    assert match[1] in [name + suffix for suffix in suffixes], line
    assert _NUMBER.fullmatch(match[3]), line
    key = (match[1], _labels(match[2] or ""))
    assert key not in family.samples, f"{line} twice"
    family.samples[key] = float(match[3])


def _labels(inside: str) -> Labels:
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(inside):
        match = _PAIR.match(inside, position)
        assert match, inside[position:]
        pairs.append((match[1], _unescape(match[2], quotes=True)))
        position = match.end()
    assert len({name for name, _ in pairs}) == len(pairs)
    return tuple(pairs)


def _unescape(text: str, quotes: bool) -> str:
    known = {"\\\\": "\\", "\\n": "\n", **({'\\"': '"'} if quotes else {})}
    return re.sub(r"\\.?", lambda match: known[match[0]], text)


def _check_histogram(name: str, family: Family) -> None:
    series: dict[Labels, list[tuple[float, float]]] = {}
    for (sample, labels), value in family.samples.items():
        if sample == f"{name}_bucket":
            rest = tuple(pair for pair in labels if pair[0] != "le")
            (bound,) = [float(value_) for label, value_ in labels if label == "le"]
            series.setdefault(rest, []).append((bound, value))
    for rest, buckets in series.items():
        assert buckets == sorted(buckets), f"{name}{rest}: bounds and counts rise"
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1] == (float("inf"), family.samples[f"{name}_count", rest])
        assert (f"{name}_sum", rest) in family.samples
