"""Milliseconds per organization to add a column to all of them with `lms migrate`.

What runs is the next release: a copy of this one with one more tenant revision. The comparison adds
the same column with `migrate_schemas`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import psycopg
from psycopg import sql

from bench import peer, tenants_peer
from bench.fill import Filled, cpu_seconds, filled
from bench.report import ROOT, Cell, Context, Report, Target, UnmeasurableError
from bench.stage import libpq_url
from bench.tenants_peer import Cost, Migration
from tenants import ddl, names

COUNTS = (300, 3_000)
PEER_COUNT, PEER_COUNT_QUICK = 300, 60
PEER_NOTHING = "migrate_schemas nothing to do"
PEER_WAYS = ("migrate_schemas serial", "migrate_schemas multiprocessing(2)")
TIMES_TO_REACH = 20.0

REVISION = '''"""A course has a subtitle."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("courses", sa.Column("subtitle", sa.String(200)))
'''
NEXT = "next"

LMS = ["-c", "from lms.entry import main; main()", "migrate"]
COUNTED = """
import json, os, time
from sqlalchemy import Engine, event
from tenants import migrator
queries = []
event.listen(Engine, "before_cursor_execute", lambda *arguments: queries.append(arguments[2]))
began = time.perf_counter()
report = migrator.upgrade_organizations(os.environ["DATABASE_ADMIN_URL"])
seconds = time.perf_counter() - began
assert not report.migrated and not report.failed
print(json.dumps({"queries": len(queries), "seconds": seconds}))
"""

NOTES = (
    (
        "Ours is the whole command, start of the program and check of the platform included; so is"
        " the comparison's. Medians over rounds; the comparison runs once, as it takes minutes."
    ),
    (
        "Ours migrates three organizations at a time, each in a durable transaction of its own that"
        " also changes its revision, and gives up on locks after 5 s."
    ),
)


def run(context: Context) -> Report:
    """Measure at 300 and 3,000 organizations, then the comparison.

    Raises:
        UnmeasurableError: a migration failed.
    """
    report = Report(
        "Adding one column to every organization",
        ["Organizations", "Who", "Wall s", "ms each", "CPU ms each", "Nothing to do: s", "Queries"],
        notes=list(NOTES),
    )
    ours: dict[int, list[Cost]] = {}
    with _next_release() as release:
        for count in COUNTS:
            ours[count] = _ours(context, release, count, report)
    if context.peer is not None:
        _compare(context, ours[COUNTS[0]], report)
    return report


@contextmanager
def _next_release() -> Iterator[Path]:
    """Copy the program with one more tenant revision."""
    with tempfile.TemporaryDirectory(prefix="lms-next-release-") as name:
        folder = Path(name)
        for package in ("lms", "tenants", "migrations"):
            shutil.copytree(ROOT / package, folder / package)
        versions = folder / "migrations" / "tenant" / "versions"
        text = REVISION.format(revision=NEXT, head=ddl.head_revision())
        (versions / f"{NEXT}.py").write_text(text, encoding="utf-8")
        yield folder


def _ours(context: Context, release: Path, count: int, report: Report) -> list[Cost]:
    """Migrate and take back in rounds; return what each took."""
    rounds = 2 if context.quick else 4
    took: list[Cost] = []
    with filled(context, count) as place:
        _take_back(place)  # what an interrupted run left
        try:
            for number in range(rounds):
                with context.console.status(f"migrate {count:,}: {number + 1} of {rounds}"):
                    _take_back(place)
                    took.append(_timed(place, release))
                    _require_all(place)
            nothing = statistics.median(_timed(place, release).wall for _ in range(rounds))
            answer = _run(place, release, ["-c", COUNTED])
        finally:
            _take_back(place)
    counted = json.loads(answer)
    report.rows.append(_row("ours", count, took, nothing, counted["queries"]))
    report.targets.append(
        Target(f"queries with nothing to migrate in {count:,}", counted["queries"], 1, at_most=True)
    )
    report.notes.append(
        f"Nothing to migrate in {count:,}: the step over the organizations takes"
        f" {1000 * counted['seconds']:.0f} ms with its connection; the rest of the command is"
        " starting Python and looking at the platform."
    )
    report.details[f"ours {count}"] = {
        "migrate": [asdict(cost) for cost in took],
        "nothing": {"command_seconds": nothing, **counted},
    }
    return took


def _timed(place: Filled, release: Path) -> Cost:
    """Run `lms migrate` of the next release."""
    server, own = cpu_seconds(place.postmaster), _children_cpu()
    began = time.perf_counter()
    _run(place, release, LMS)
    wall = time.perf_counter() - began
    return Cost(wall, _children_cpu() - own, cpu_seconds(place.postmaster) - server)


def _run(place: Filled, release: Path, arguments: Sequence[str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=release,
        # Before the installed packages, which are this release.
        env={**os.environ, **place.environment, "PYTHONPATH": str(release)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnmeasurableError(f"Migrating failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def _children_cpu() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _require_all(place: Filled) -> None:
    """Make sure that every organization got the column.

    Raises:
        UnmeasurableError: one did not.
    """
    with psycopg.connect(libpq_url(place.admin_url)) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid"
            " JOIN platform.organizations o"
            "   ON t.relnamespace = to_regnamespace('o_' || replace(o.id::text, '-', ''))"
            " WHERE t.relname = 'courses' AND a.attname = 'subtitle' AND o.revision = %s",
            [NEXT],
        ).fetchone()
        everyone = connection.execute("SELECT count(*) FROM platform.organizations").fetchone()
    if row != everyone:
        raise UnmeasurableError(f"{everyone} organizations, but {row} have the column")


def _take_back(place: Filled) -> None:
    """Undo the migration: it has no way down, as columns are dropped by a later release."""
    with psycopg.connect(libpq_url(place.admin_url), autocommit=True) as connection:
        migrated = connection.execute(
            "SELECT id FROM platform.organizations WHERE revision = %s", [NEXT]
        ).fetchall()
        for (organization_id,) in migrated:
            table = sql.Identifier(names.schema_name(organization_id), "courses")
            with connection.transaction():
                connection.execute(sql.SQL("ALTER TABLE {} DROP COLUMN subtitle").format(table))
                connection.execute(
                    "UPDATE platform.organizations SET revision = %s WHERE id = %s",
                    [ddl.head_revision(), organization_id],
                )


def _compare(context: Context, ours: Sequence[Cost], report: Report) -> None:
    peer.start_postgres(context)
    try:
        database = tenants_peer.prepare(context, PEER_COUNT_QUICK if context.quick else PEER_COUNT)
        with context.console.status("migrate the comparison (some minutes)"):
            theirs = {one.way: one for one in tenants_peer.migrate(context, database)}
    finally:
        peer.stop_postgres(context)
    nothing = theirs[PEER_NOTHING].cost.wall
    for way, one in theirs.items():
        if way != PEER_NOTHING:
            idle = nothing if way in PEER_WAYS else None
            report.rows.append(_row(way, one.tenants, [one.cost], idle, None))
    best = min((theirs[way] for way in PEER_WAYS), key=lambda one: one.cost.wall)
    report.targets += _targets(best, ours)
    report.details["comparison"] = [asdict(one) for one in theirs.values()]


def _targets(best: Migration, ours: Sequence[Cost]) -> list[Target]:
    wall, cpu = (
        statistics.median(getattr(cost, name) for cost in ours) / COUNTS[0]
        for name in ("wall", "cpu")
    )
    name = f"migrating {COUNTS[0]}, each: comparison's best"
    return [
        Target(f"{name} / ours, wall", best.cost.wall / best.tenants / wall, TIMES_TO_REACH),
        Target(f"{name} / ours, CPU", best.cost.cpu / best.tenants / cpu, TIMES_TO_REACH),
    ]


def _row(
    who: str, count: int, took: Sequence[Cost], nothing: float | None, queries: int | None
) -> list[Cell]:
    wall = statistics.median(cost.wall for cost in took)
    cpu = statistics.median(cost.cpu for cost in took)
    return [count, who, wall, 1000 * wall / count, 1000 * cpu / count, nothing, queries]
