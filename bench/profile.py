"""Where the time of each measured operation goes, called in this process: not measured by default.

Wall time and CPU of the web side and of its PostgreSQL backend come from unprofiled requests; the
tables of functions from cProfile on the thread's CPU clock, which makes small Python functions look
slower than they are.
"""

from __future__ import annotations

import cProfile
import json
import os
import pstats
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import event

from bench.expansion import expand
from bench.report import ROOT, Context, Report, UnmeasurableError
from bench.stage import set_up
from bench.target import OPERATIONS, make_tenants

NAME = "bench-profile"
ORGANIZATIONS = 50
SHOWN = 25
ORDERS = {
    "packages": "package, what is built in charged to its callers",
    "cumulative": "function with all that it calls",
    "own": "function alone",
}
BATCH = 5


def run(context: Context) -> Report:
    """Profile every operation over 50 organizations in a process of its own."""
    requests = 200 if context.quick else 1000
    report = Report(
        title=f"Where the time goes, {ORGANIZATIONS} organizations, one request at a time",
        columns=[
            *("operation", "wall ms", "CPU web ms", "CPU PostgreSQL ms", "statements"),
            *("in execute() ms", "bytes"),
        ],
    )
    with set_up(context) as stage:
        tenants = stage.home / "tenants.json"
        tenants.write_text(json.dumps(make_tenants(stage.seed)[:ORGANIZATIONS]), encoding="utf-8")
        for operation in OPERATIONS:
            stage.forget_purchases(ORGANIZATIONS)
            with context.console.status(f"profile {operation}"):
                found = _profiled(
                    stage.environment, [str(tenants), stage.conninfo, operation, str(requests)]
                )
            report.details[operation] = found
            report.rows.append([operation, *found["figures"]])
            for order in ("packages", "cumulative", "own"):
                context.console.print(f"\n{operation}, CPU by {ORDERS[order]}:", markup=False)
                context.console.print("\n".join(found[order]), markup=False, highlight=False)
        stage.forget_purchases(ORGANIZATIONS)
    return report


def _profiled(environment: dict[str, str], arguments: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.profile", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment, "PGAPPNAME": NAME},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("PROFILE ")]
    if done.returncode != 0 or not lines:
        raise UnmeasurableError(f"The profile failed:\n{done.stderr[-2000:]}")
    return json.loads(lines[0].removeprefix("PROFILE "))


def _main(tenants_file: str, conninfo: str, operation: str, requests: str) -> None:
    from lms.app import create_app  # noqa: PLC0415 - only this process has settings
    from lms.config import Settings  # noqa: PLC0415

    app = create_app(Settings.from_environment())
    tenants = json.loads(Path(tenants_file).read_text(encoding="utf-8"))
    count, warm = int(requests), 2 * ORGANIZATIONS
    raws = expand(OPERATIONS[operation], tenants, warm + 2 * count)
    _send_all(app, raws[:warm])
    with psycopg.connect(conninfo, application_name="bench-watch") as watch:
        figures = _measure(app, watch, raws[warm : warm + count])
    # CPU instead of wall time: waiting for PostgreSQL, or for a busy machine, is not what it shows.
    profiler = cProfile.Profile(time.thread_time)
    profiler.enable()
    _send_all(app, raws[warm + count :])
    profiler.disable()
    found: dict[str, Any] = {"figures": figures, "packages": list(_packages(profiler, count))}
    for name, key in (("cumulative", 3), ("own", 2)):
        found[name] = list(_functions(profiler, key, count))
    print("PROFILE " + json.dumps(found))


def _send_all(app: Flask, raws: Sequence[bytes]) -> int:
    from bench.in_process import send  # noqa: PLC0415

    size = 0
    for raw in raws:
        status, size = send(app, raw)
        if status >= 400:
            raise RuntimeError(f"answered {status}: {raw[:200]!r}")
    return size


def _measure(
    app: Flask, watch: psycopg.Connection[tuple[Any, ...]], raws: Sequence[bytes]
) -> list[float]:
    """Return medians per request: wall, web CPU, PostgreSQL CPU, statements, in execute, bytes."""
    pids = [
        row[0]
        for row in watch.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME]
        )
    ]
    samples: list[tuple[float, ...]] = []
    for start in range(0, len(raws) - BATCH + 1, BATCH):
        with _statements(app) as statements:
            before = (time.perf_counter(), time.thread_time(), _scheduled(pids))
            size = _send_all(app, raws[start : start + BATCH])
            after = (time.perf_counter(), time.thread_time(), _scheduled(pids))
        spent = [1000 * (late - early) / BATCH for early, late in zip(before, after, strict=True)]
        samples.append(
            (*spent, len(statements) / BATCH, 1000 * sum(statements) / BATCH, float(size))
        )
    return [median(column) for column in zip(*samples, strict=True)]


@contextmanager
def _statements(app: Flask) -> Iterator[list[float]]:
    """Collect the seconds that each statement took, from the client's side."""
    took: list[float] = []
    begun: list[float] = []
    engine = app.extensions["edge"].database.events

    def begin(*_arguments: object) -> None:
        begun.append(time.perf_counter())

    def end(*_arguments: object) -> None:
        took.append(time.perf_counter() - begun.pop())

    event.listen(engine, "before_cursor_execute", begin)
    event.listen(engine, "after_cursor_execute", end)
    try:
        yield took
    finally:
        event.remove(engine, "before_cursor_execute", begin)
        event.remove(engine, "after_cursor_execute", end)


def _scheduled(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes, to the nanosecond (Linux)."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def _packages(profiler: cProfile.Profile, count: int) -> Iterator[str]:
    spent: Counter[str] = Counter()
    for (path, _, _), (_, _, own, _, callers) in _stats_of(profiler).items():
        if path == "~" and callers:
            for (caller, _, _), (_, _, part, _) in callers.items():
                spent[_package(caller)] += part
        else:
            spent[_package(path)] += own
    for package, seconds in spent.most_common(16):
        yield f"{1000 * seconds / count:8.3f} ms {seconds / spent.total():5.0%}  {package}"


def _package(path: str) -> str:
    """Return the distribution or the room of ours that a source file belongs to."""
    place = Path(path)
    if place.is_relative_to(ROOT) and "site-packages" not in place.parts:
        return "/".join(place.relative_to(ROOT).parts[:2])
    if "site-packages" in place.parts:
        return place.parts[place.parts.index("site-packages") + 1]
    return "standard library"


def _stats_of(profiler: cProfile.Profile) -> dict[Any, Any]:
    return vars(pstats.Stats(profiler))["stats"]


def _functions(profiler: cProfile.Profile, key: int, count: int) -> Iterator[str]:
    yield "  own ms  cumulative ms  calls/request  function"
    for place, figures in sorted(_stats_of(profiler).items(), key=lambda one: -one[1][key])[:SHOWN]:
        path, line, name = place
        _, calls, own, cumulative, _ = figures
        short = "/".join(Path(path).parts[-3:])
        yield (
            f"{1000 * own / count:8.3f} {1000 * cumulative / count:14.3f} {calls / count:14.1f}"
            f"  {short}:{line} {name}"
        )


if __name__ == "__main__":
    _main(*sys.argv[1:])
