"""The comparison's own measurements of provisioning and migrating, run in its own environment."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from bench import peer
from bench.report import Context, UnmeasurableError

EMPTY_DATABASE = "peer_mig_empty"

PREPARE = """
import os, sys
database, tenants = sys.argv[1], int(sys.argv[2])
os.environ["BENCH_PG_DB"] = database
sys.path.insert(0, "harness")
import common, provision
if tenants:
    provision.fill(database, tenants)
else:
    with common.connect("postgres") as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {database}")
    common.manage("migrate_schemas", "--shared", "-v", "0", BENCH_PG_DB=database)
    # What clones are made of; a filled database has it too.
    provision.run(database, "migrate", 1, "template_org")
    with common.connect(database) as connection:
        connection.execute("ALTER SCHEMA template_org000 RENAME TO template_org")
        connection.execute(
            "UPDATE orgs_organization SET schema_name = 'template_org'"
            " WHERE schema_name = 'template_org000'"
        )
"""
PROVISION = """
import json, os, sys
database, mode, count, number = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
os.environ["BENCH_PG_DB"] = database
sys.path.insert(0, "harness")
import provision
print("ROWS " + json.dumps(provision.run(database, mode, count, f"pv{mode[0]}{number}n")))
"""
DROP = """
import os, sys
database = sys.argv[1]
os.environ["BENCH_PG_DB"] = database
sys.path.insert(0, "harness")
import provision
provision.drop(database, "pv%")
"""
Mode = Literal["migrate", "clone"]
"""How the comparison provisions: by its normal `save()`, which runs every migration, or by copying
a schema that is kept as a template."""

MIGRATE = """
import os, runpy, sys
os.environ["BENCH_PG_DB"] = sys.argv[1]
sys.path.insert(0, "harness")
runpy.run_path("harness/migrate.py", run_name="__main__")
"""
MIGRATED = re.compile(
    r"^(?P<way>\S.*?)\s+(?P<tenants>\d+) tenants .*wall\s+(?P<wall>[\d.]+) s"
    r".*python\s+(?P<python>[\d.]+) s, postgres\s+(?P<postgres>[\d.]+) s",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What something took, seconds.

    Attributes:
        wall: on the clock.
        python: CPU of the program.
        postgres: CPU of the server.
    """

    wall: float
    python: float
    postgres: float

    @property
    def cpu(self) -> float:
        """CPU of both."""
        return self.python + self.postgres


@dataclass(frozen=True, slots=True)
class Migration:
    """One way to add a column to every tenant, and how many there were."""

    way: str
    tenants: int
    cost: Cost


def prepare(context: Context, tenants: int) -> str:
    """Make a database with tenants without rows, or find it made by an earlier run.

    Returns:
        Its name. Without tenants, but for the template of clones, it is made anew each time.
    """
    if tenants == 0:
        peer.run(context, ["-c", PREPARE, EMPTY_DATABASE, "0"])
        return EMPTY_DATABASE
    database = f"peer_mig_{tenants}"
    stamp = peer.home(context) / database
    if not stamp.exists():
        with context.console.status(f"fill the comparison with {tenants} tenants"):
            peer.run(context, ["-c", PREPARE, database, str(tenants)])
        stamp.touch()
    return database


def provision(
    context: Context, database: str, mode: Mode, count: int, *, number: int
) -> list[Cost]:
    """Provision tenants in a mode, one after the other in a fresh process; `drop` removes them.

    Args:
        context: of the run.
        database: where.
        mode: how.
        count: how many.
        number: of the round; tenants are named by it.

    Raises:
        UnmeasurableError: it failed.
    """
    printed = peer.run(context, ["-c", PROVISION, database, mode, str(count), str(number)])
    for line in printed.splitlines():
        if line.startswith("ROWS "):
            return [Cost(*row) for row in json.loads(line.removeprefix("ROWS "))]
    raise UnmeasurableError(f"The comparison did not say how long it took:\n{printed[-1000:]}")


def drop(context: Context, database: str) -> None:
    """Remove what rounds of `provision` made; not between rounds, so that no files are deleted."""
    peer.run(context, ["-c", DROP, database])


def migrate(context: Context, database: str) -> list[Migration]:
    """Add a column to every tenant in each way that the harness knows, and take it back.

    Raises:
        UnmeasurableError: it failed.
    """
    printed = peer.run(context, ["-c", MIGRATE, database])
    found = [
        Migration(
            one["way"],
            int(one["tenants"]),
            Cost(float(one["wall"]), float(one["python"]), float(one["postgres"])),
        )
        for one in MIGRATED.finditer(printed)
    ]
    if not found:
        raise UnmeasurableError(f"The comparison printed no figures:\n{printed[-1000:]}")
    return found
