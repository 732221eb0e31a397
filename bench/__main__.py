"""`python -m bench [PART...]`: measure, print tables, keep JSON, fail when a target is missed."""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console

from bench.report import ROOT, Context, Report, UnmeasurableError, keep, show

PARTS = (
    *("requests", "servers", "purchases", "reconcile", "memory"),
    *("provisioning", "migrations", "pipeline"),
)
ONLY_BY_NAME = ("profile",)
"""Explain rather than judge."""

WIDTH = 160
"""Columns of a table that goes to a file or a pipe."""

PEER = ROOT.parent / "shared" / "bench" / "peer"


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice(PARTS + ONLY_BY_NAME), metavar="[PART]...")
@click.option("--quick", is_flag=True, help="Shorter and fewer rounds: soon, and noisier.")
@click.option(
    "--peer",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the comparison's harness; ../shared/bench/peer when it is there.",
)
def main(parts: tuple[str, ...], quick: bool, peer: Path | None) -> None:
    """Measure some or all parts: requests, servers, purchases, reconcile, ..."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    if peer is None and PEER.is_dir():
        peer = PEER
    if peer is None:
        console.print(
            f"There is no comparison in {os.path.relpath(PEER)}: ours is measured alone, and"
            " targets that compare are left out. Name its folder with --peer."
        )
    home = Path(os.environ.get("BENCH_HOME") or Path(tempfile.gettempdir()) / "lms-bench")
    context = Context(home.resolve(), quick, None if peer is None else peer.resolve(), console)
    with _alone(context.home):
        failed = [part for part in parts or PARTS if not _measure(part, context)]
    if failed:
        console.print(f"Not reached: {', '.join(failed)}.")
        sys.exit(1)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep a second run out of the same folder: it would stop this one's servers."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Another benchmark runs in {home}; wait for it, or set BENCH_HOME."
            raise click.ClickException(message) from None
        yield


def _measure(part: str, context: Context) -> bool:
    """Run one part; tell whether it was measured and all its targets were reached."""
    context.console.rule(part)
    try:
        report: Report = importlib.import_module(f"bench.{part}").run(context)
    except UnmeasurableError as error:
        context.console.print(f"{part} could not be measured. {error}", markup=False)
        return False
    show(context.console, report)
    path = keep(part, context, report)
    context.console.print(f"Kept in {path.relative_to(ROOT)}.")
    return report.ok


if __name__ == "__main__":
    main()
