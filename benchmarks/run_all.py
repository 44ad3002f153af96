"""Every benchmark after the other, and a dated section about them in benchmarks/RESULTS.md.

    python benchmarks/run_all.py [--quick] [--only NAME ...] [--output FILE]      (`make bench`)

The section names machine, kernel, Python, the load before and after each benchmark and the command
that repeats it; newest first. A full run takes about fifteen minutes on two cores, and should have
them for itself. A quick one is printed and not written, unless --output says where: its numbers
tell whether something works, not how fast it is.
"""

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import figures
from figures import Figure, Mode

HERE: Final = Path(__file__).parent
RESULTS: Final = HERE / "RESULTS.md"
TITLE: Final = """# Results

What `make bench` found, newest first. Every line is a benchmark of this folder, whose docstring
says what is measured and how; goals are those of the project's figures.
"""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One run of a script; `arguments` by mode, where it doesn't know --quick and --tiny itself."""

    script: str
    more: tuple[str, ...] = ()
    arguments: dict[Mode, tuple[str, ...]] | None = None

    def command(self, mode: Mode) -> list[str]:
        """The script and its arguments, without --json."""
        if self.arguments is not None:
            return [self.script, *self.more, *self.arguments[mode]]
        return [self.script, *self.more, *([] if mode == "full" else [f"--{mode}"])]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run said. `figures` empty: it has a report of its own form; `error`: it failed."""

    command: str
    seconds: float
    load_before: float
    load_after: float
    figures: list[Figure]
    text: str
    error: str = ""


BENCHMARKS: Final = (
    Benchmark("kill_primary.py"),
    Benchmark("kill_primary.py", ("--state", "1GB")),
    Benchmark("kill_supervisor.py"),
    Benchmark("throughput.py"),
    Benchmark("supervisor_loop.py"),
    Benchmark("cold_start.py"),
    Benchmark("checkpoint_pause.py"),
    Benchmark("memory.py"),
    Benchmark("wal_bytes.py"),
    Benchmark(
        "wal_append.py", (), {"full": (), "quick": ("--rounds", "3"), "tiny": ("--rounds", "1")}
    ),
    Benchmark(
        "wal_read.py",
        (),
        {"full": (), "quick": ("--records", "200000"), "tiny": ("--records", "2000")},
    ),
    Benchmark("checkpoint.py", (), {"full": (), "quick": ("--runs", "1"), "tiny": ("--runs", "1")}),
    Benchmark(
        "death_watch.py", (), {"full": (), "quick": ("--kills", "5"), "tiny": ("--kills", "1")}
    ),
    Benchmark("state_tree.py", (), {"full": (), "quick": (), "tiny": ()}),
    Benchmark(
        "brain_loop.py",
        (),
        {"full": (), "quick": ("--requests", "20000"), "tiny": ("--requests", "400")},
    ),
    Benchmark(
        "client.py", (), {"full": (), "quick": ("--seconds", "0.5"), "tiny": ("--seconds", "0.1")}
    ),
    Benchmark("telemetry.py", (), {"full": (), "quick": (), "tiny": ()}),
)


def run(benchmark: Benchmark, mode: Mode) -> Outcome:
    """One benchmark, to its end. It ends what it started when it is ended itself."""
    command = benchmark.command(mode)
    before, began = load(), time.monotonic()
    ours = benchmark.arguments is None or benchmark.script == "wal_append.py"
    argv = [sys.executable, str(HERE / command[0]), *command[1:], *(["--json"] if ours else [])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            out, errors = child.communicate()
        except BaseException:
            child.terminate()
            raise
    said = " ".join(command)
    seconds, after = round(time.monotonic() - began, 1), load()
    if child.returncode:
        return Outcome(said, seconds, before, after, [], "", errors[-2000:] or out[-2000:])
    found = read_figures(benchmark.script, json.loads(out)) if ours else []
    text = "\n".join(map(figures.line, found)) if found else out.rstrip()
    return Outcome(said, seconds, before, after, found, text)


def load() -> float:
    return round(float(Path("/proc/loadavg").read_text().split()[0]), 2)


def read_figures(script: str, report: dict[str, Any]) -> list[Figure]:
    """The figures of a report, also of wal_append.py's, which has a form of its own."""
    if script == "wal_append.py":
        return [
            Figure(
                f"WAL, {name}: rate to bare write and CRC",
                "",
                round(report[name]["rate_to_floor"], 3),
                at_least=0.5,
                details={
                    "records_per_s": round(report[name]["per_s"]),
                    "bare_per_s": round(report["floor"]["per_s"]),
                    "bare_per_s_with_zlib_ng": round(report["floor, zlib-ng"]["per_s"]),
                },
            )
            for name in ("append", "encode, append")
        ]
    computed = {"met", "ratio"}
    return [
        Figure(**{name: held for name, held in each.items() if name not in computed})
        for each in report["figures"]
    ]


def section(outcomes: list[Outcome], mode: Mode, command: str, now: datetime) -> str:
    """The section of one run."""
    machine = figures.machine()
    head = [
        f"## {now:%Y-%m-%d %H:%M} UTC, {mode}",
        "",
        f"`{command}` on {machine['cpus']} x {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"Linux {machine['kernel']}, Python {machine['python']}, "
        f"{'compiled' if machine['compiled'] else 'from source'}.",
        "Load: the average of the minute before and at the end of each benchmark.",
        "",
        "| what | found | goal | | beside it | times |",
        "|---|---|---|---|---|---|",
    ]
    rows = [row(figure) for outcome in outcomes for figure in outcome.figures]
    return "\n".join([*head, *rows, "", *(part for each in outcomes for part in details(each))])


def row(figure: Figure) -> str:
    """A figure's line in the table."""
    met = {True: "met", False: "**missed**", None: ""}[figure.met]
    beside = ""
    if figure.peer_value is not None:
        beside = f"{figure.peer}: {figures.shown(figure.peer_value)}"
    times = "" if figure.ratio is None else figures.shown(figure.ratio)
    found = f"{figures.shown(figure.value)} {figure.unit}".rstrip()
    goal = figures.goal_of(figure.at_most, figure.at_least)
    return f"| {figure.name} | {found} | {goal} | {met} | {beside} | {times} |"


def details(outcome: Outcome) -> list[str]:
    """All that one benchmark said."""
    load_said = f"load {outcome.load_before} before, {outcome.load_after} after"
    head = f"`python benchmarks/{outcome.command}` ({outcome.seconds:g} s, {load_said})"
    if outcome.error:
        return [f"{head} **failed**:", "", "```", outcome.error.rstrip(), "```", ""]
    return [head, "", "```", outcome.text, "```", ""]


def write(path: Path, text: str) -> None:
    """Put a section behind the title, before the older ones."""
    older = path.read_text() if path.exists() else TITLE
    title, mark, rest = older.partition("\n## ")
    path.write_text(f"{title.rstrip()}\n\n{text.rstrip()}\n{mark}{rest}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--tiny", action="store_true", help="means nothing; for the tests")
    parser.add_argument("--only", action="append", metavar="NAME", help="such as kill_primary")
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of RESULTS.md")
    options = parser.parse_args()
    mode: Mode = "quick" if options.quick else "tiny" if options.tiny else "full"
    signal.signal(signal.SIGTERM, figures.end)
    wanted = [each for each in BENCHMARKS if not options.only or each.script[:-3] in options.only]
    if not wanted:
        parser.error(f"there are {', '.join(sorted({each.script[:-3] for each in BENCHMARKS}))}")
    outcomes: list[Outcome] = []
    for benchmark in wanted:
        print("==", *benchmark.command(mode), flush=True)
        outcomes.append(run(benchmark, mode))
        print(outcomes[-1].error or outcomes[-1].text, flush=True)
    command = " ".join(["python benchmarks/run_all.py", *sys.argv[1:]])
    path = options.output or (RESULTS if mode == "full" else None)
    if path is not None:
        write(path, section(outcomes, mode, command, datetime.now(UTC)))
    return int(any(outcome.error for outcome in outcomes))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
