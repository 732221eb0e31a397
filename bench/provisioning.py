"""Seconds to provision an organization, beside the comparison's `migrate` and `clone` modes.

`python -m bench.provisioning POSTMASTER COUNT` provisions COUNT organizations on the server that
DATABASE_ADMIN_URL and DATABASE_URL name, and prints what each took.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

from sqlalchemy.orm import configure_mappers

from bench import peer, tenants_peer
from bench.fill import Filled, cpu_seconds, filled
from bench.report import ROOT, Cell, Context, Report, Target, UnmeasurableError
from bench.stage import LOGIN_ROLE
from bench.tenants_peer import Cost
from lms.core.ids import new_id
from lms.platform.provisioning import FirstAdmin, Owner, create_organization
from tenants import ddl, spares
from tenants.engines import create_admin_engine
from tenants.provisioning import NewOrganization

COUNTS = (0, 300, 3_000)
PEER_COUNTS = (0, 300)
"""The comparison takes a second for each tenant; filling it with 3,000 says nothing new."""

PER_PROCESS = 3
FORGOTTEN_SECONDS = 65
TO_REACH = 5.0

MODES: tuple[tenants_peer.Mode, ...] = ("migrate", "clone")
JUDGED: tenants_peer.Mode = "migrate"
"""What the target compares with: how the comparison provisions unless it is set up otherwise."""

NOTES = (
    (
        "One of ours is row, role, schema, grants, first admin, invitation and audit events, in one"
        " durable transaction; one of the comparison's is schema and domain."
    ),
    (
        "Ours takes a spare schema, built in the background after the one before; what building"
        " takes is in the row without a spare, which builds it there and then."
    ),
    (
        "The target is for the comparison's normal save(), which runs every migration (migrate)."
        " Copying a schema that is kept as a template (clone) is shown without a target."
    ),
    "Cold is the first in a process that is ready to serve. Medians over rounds.",
)


def run(context: Context) -> Report:
    """Measure at 0, 300 and 3,000 existing organizations.

    Each round provisions in a fresh process of ours and then in one for each of the comparison's
    modes: the first of each is cold, the others warm.

    Raises:
        UnmeasurableError: a process failed.
    """
    report = Report(
        "Provisioning one organization",
        [
            "Existing",
            "Who",
            "Cold s",
            "Warm s",
            "Cold CPU s: Python",
            "PostgreSQL",
            "It / ours: cold",
            "cold CPU",
        ],
        notes=list(NOTES),
    )
    rounds = 2 if context.quick else 5
    with ExitStack() as stack:
        if context.peer is not None:
            peer.start_postgres(context)
            stack.callback(peer.stop_postgres, context)
        for count in COUNTS:
            compared = context.peer is not None and count in PEER_COUNTS
            ours, built, theirs = _measure(context, count, rounds, compared=compared)
            for mode, costs in theirs.items():
                wall, cpu = _median_ratio(costs, ours, "wall"), _median_ratio(costs, ours, "cpu")
                report.rows.append([*_row(count, f"comparison, {mode}", costs), wall, cpu])
                if mode == JUDGED:
                    report.targets.append(_target(count, wall))
            report.rows.append([*_row(count, "ours", ours), None, None])
            wall, cpu = (_median_ratio(built, ours, of) for of in ("wall", "cpu"))
            report.rows.append([*_row(count, "ours, without a spare", built), wall, cpu])
            report.details[str(count)] = {
                "ours": _raw(ours),
                "ours without a spare": _raw(built),
                "comparison": {mode: _raw(costs) for mode, costs in theirs.items()},
            }
    return report


def main(postmaster: int, count: int) -> None:
    """Provision as the API and the command line do; print a line of JSON."""
    # As the app does before it serves; the comparison's set-up of Django does the same.
    configure_mappers()
    ddl.served_revisions()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
    owner = Owner(os.environ["DATABASE_ADMIN_URL"], os.environ["DATABASE_URL"])
    costs: list[tuple[float, float, float]] = []
    for _ in range(count):
        organization_id = new_id()
        new = NewOrganization(organization_id, f"new-{organization_id.hex[-12:]}", "New")
        admin = FirstAdmin("first.admin@example.test", "First Admin")
        server = cpu_seconds(postmaster)
        began, own = time.perf_counter(), time.process_time()
        create_organization(owner, new, admin, actor_id=None)
        wall, own = time.perf_counter() - began, time.process_time() - own
        costs.append((wall, own, cpu_seconds(postmaster) - server))
    sys.stdout.write(json.dumps(costs) + "\n")


def _measure(
    context: Context, count: int, rounds: int, *, compared: bool
) -> tuple[list[list[Cost]], list[list[Cost]], dict[tenants_peer.Mode, list[list[Cost]]]]:
    """Return our rounds with spares and without, and the comparison's by mode; they take turns."""
    ours: list[list[Cost]] = []
    built: list[list[Cost]] = []
    theirs: dict[tenants_peer.Mode, list[list[Cost]]] = (
        {mode: [] for mode in MODES} if compared else {}
    )
    database = tenants_peer.prepare(context, count) if compared else ""
    with ExitStack() as stack, filled(context, count) as place:
        if compared:
            stack.callback(tenants_peer.drop, context, database)
        _let_deletions_be_forgotten(context)
        for number in range(rounds):
            with context.console.status(f"provision at {count:,}: {number + 1} of {rounds}"):
                built.append(_provision(place))
                _build_spares(place)
                ours.append(_provision(place))
                for mode, costs in theirs.items():
                    costs.append(
                        tenants_peer.provision(context, database, mode, PER_PROCESS, number=number)
                    )
    return ours, built, theirs


def _build_spares(place: Filled) -> None:
    """Do what was done in the background after the organizations before."""
    admin = create_admin_engine(place.admin_url)
    spares.refill(admin, login_role=LOGIN_ROLE, wanted=PER_PROCESS)


def _let_deletions_be_forgotten(context: Context) -> None:
    """Wait until ext4 creates files as fast as ever, for both: earlier parts deleted thousands.

    It does not give an inode away again within a minute of its deletion (within six while that is
    not on the disk yet) and looks at each on its way (`recently_deleted`, fs/ext4/ialloc.c).
    """
    os.sync()
    with context.console.status("wait until the file system forgets what was deleted"):
        time.sleep(FORGOTTEN_SECONDS)


def _provision(place: Filled) -> list[Cost]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.provisioning", str(place.postmaster), str(PER_PROCESS)],
        cwd=ROOT,
        env={**os.environ, **place.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnmeasurableError(f"Provisioning failed:\n{done.stderr[-3000:]}")
    return [Cost(*cost) for cost in json.loads(done.stdout)]


def _row(count: int, who: str, rounds: Sequence[Sequence[Cost]]) -> list[Cell]:
    cold = [costs[0] for costs in rounds]
    warm = [cost.wall for costs in rounds for cost in costs[1:]]
    return [
        count,
        who,
        statistics.median(cost.wall for cost in cold),
        statistics.median(warm),
        statistics.median(cost.python for cost in cold),
        statistics.median(cost.postgres for cost in cold),
    ]


def _median_ratio(
    theirs: Sequence[Sequence[Cost]], ours: Sequence[Sequence[Cost]], of: Literal["wall", "cpu"]
) -> float:
    """Return how many times as much the comparison takes cold: the median of the rounds' ratios."""
    return statistics.median(
        getattr(one[0], of) / getattr(other[0], of) for one, other in zip(theirs, ours, strict=True)
    )


def _target(count: int, ratio: float) -> Target:
    name = f"provisioning cold at {count}: comparison's seconds ({JUDGED}) / ours"
    return Target(name, ratio, TO_REACH)


def _raw(rounds: Sequence[Sequence[Cost]]) -> list[list[list[float]]]:
    return [[[cost.wall, cost.python, cost.postgres] for cost in costs] for costs in rounds]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
