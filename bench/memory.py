"""Memory of one web process and of its PostgreSQL backend after visits to 300 organizations."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import psycopg

from bench import peer
from bench.expansion import expand
from bench.report import ROOT, Context, Report, UnmeasurableError
from bench.stage import Stage, set_up
from bench.target import OPERATIONS, make_tenants
from lms.compose import served_revisions
from lms.config import Settings
from tenants.resolver import HostResolver
from tenants.session import Database

COUNTS = (1, 50, 300)
NAME = "bench-memory"
WITH_LIFE, WITHOUT_LIFE = "ours", "ours, connections kept"


def run(context: Context) -> Report:
    """Visit the organizations in a process of its own, with every operation, and look."""
    report = Report(
        title="Memory after visits to organizations, MiB",
        columns=["who", "organizations", "web process", "backend", "largest backend so far"],
        notes=[
            (
                "Web process: resident. Backend: private (anonymous) memory, mostly caches of the"
                " catalog of the schemas that it has seen."
            ),
            (
                f"Our pool retires a connection after {_life()} organizations; beside it the same"
                " with connections that live on."
            ),
        ],
    )
    results: dict[str, list[dict[str, Any]]] = {}
    with set_up(context) as stage:
        tenants = stage.home / "tenants.json"
        tenants.write_text(json.dumps(_slim(make_tenants(stage.seed))), encoding="utf-8")
        stage.forget_purchases(max(COUNTS))
        for name, life in ((WITH_LIFE, _life()), (WITHOUT_LIFE, 10**9)):
            with context.console.status(f"visit the organizations: {name}"):
                results[name] = list(_visited(stage, tenants, life))
            stage.forget_purchases(max(COUNTS))
        if context.peer is not None:
            with context.console.status("visit the comparison's tenants"):
                results["peer"] = _peers(peer.run(context, ["harness/memory.py", "--apps", "peer"]))
    for name, rows in results.items():
        report.rows += [
            [name, row["organizations"], row["web"], row["backend"], row["largest"]] for row in rows
        ]
    if "peer" in results:
        ours, theirs = results[WITH_LIFE][-1], results["peer"][-1]
        report.notes.append(
            f"Ours over the peer's after {COUNTS[-1]} organizations: web process"
            f" {ours['web'] / theirs['web']:.2f}, largest backend"
            f" {ours['largest'] / theirs['largest']:.2f}."
        )
    report.details = {"visits": results}
    return report


def _life() -> int:
    """Return after how many organizations the product retires a connection."""
    return inspect.signature(Database).parameters["organizations_per_connection"].default


def _slim(tenants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return tenants with what one visit needs, so that they do not count as the API's memory."""
    return [
        {
            **tenant,
            "students": tenant["students"][:1],
            "vars": {name: values[:1] for name, values in tenant["vars"].items()},
        }
        for tenant in tenants
    ]


def _visited(stage: Stage, tenants: Path, life: int) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "bench.memory", str(tenants), stage.conninfo, str(life)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **stage.environment, "PGAPPNAME": NAME},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnmeasurableError(f"The visits failed:\n{done.stderr[-2000:]}")
    for line in done.stdout.splitlines():
        if line.startswith("VISITED "):
            yield json.loads(line.removeprefix("VISITED "))


def _peers(output: str) -> list[dict[str, Any]]:
    rows = [json.loads(line[5:]) for line in output.splitlines() if line.startswith("peer {")]
    return [
        {
            "organizations": row["tenants"],
            "web": row["python_rss"],
            "backend": row["private_max"],
            "largest": row["private_max"],
        }
        for row in rows
    ]


def _visit(tenants_file: Path, conninfo: str, life: int) -> None:
    """Call every operation once in each organization; print a line at each of the counts."""
    from bench.in_process import send  # noqa: PLC0415 - only the visiting process has settings
    from lms.app import create_app  # noqa: PLC0415
    from lms.http.edge import LmsFlask  # noqa: PLC0415

    settings = Settings.from_environment()
    app = create_app(settings)
    if not isinstance(app, LmsFlask):
        raise TypeError("the API is not served by LmsFlask")
    database = Database(
        settings.database_url,
        served_revisions=served_revisions(),
        pool_size=settings.database_pool_size,
        organizations_per_connection=life,
    )
    resolver = HostResolver(database, settings.base_domain, ttl=settings.host_cache_seconds)
    app.edge = replace(app.edge, database=database, resolver=resolver)
    tenants = json.loads(tenants_file.read_text(encoding="utf-8"))
    largest = 0.0
    for number, tenant in enumerate(tenants[: max(COUNTS)], start=1):
        for operation in OPERATIONS.values():
            status, _ = send(app, expand(operation, [tenant], 1)[0])
            if status >= 400:
                raise RuntimeError(f"{operation['path']} answered {status}")
        backend = _backend(conninfo)
        largest = max(largest, backend)
        if number in COUNTS:
            row = {
                "organizations": number,
                "web": psutil.Process().memory_info().rss / 2**20,
                "backend": backend,
                "largest": largest,
            }
            print("VISITED " + json.dumps(row), flush=True)


def _backend(conninfo: str) -> float:
    """Return the private memory of this process's largest backend in MiB (Linux)."""
    with psycopg.connect(conninfo, application_name="bench-watch") as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [NAME]
        ).fetchall()
    return max((_anonymous(pid) for (pid,) in rows), default=0.0)


def _anonymous(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    _visit(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
