"""How soon work came back after its worker was lost, read from the versions of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.faults.history import Version


@dataclass(frozen=True)
class Recovery:
    """A claim that followed one whose lease ran out.

    Attributes:
        work_id: the row.
        fence: of the new claim.
        seconds: from the lost holder's last sign of life to the new claim: at least the lease.
    """

    work_id: str
    fence: int
    seconds: float


def recoveries(versions: Sequence[Version]) -> list[Recovery]:
    """Find them in the history of `platform.work`.

    Work that was handed back, or that waits after a failed attempt, was not lost.
    """
    rows: dict[str, list[Version]] = {}
    for version in versions:
        rows.setdefault(version.row["id"], []).append(version)
    return [found for history in rows.values() for found in _of_row(history)]


def _of_row(history: Iterable[Version]) -> Iterable[Recovery]:
    holder: Version | None = None
    for version in history:
        if version.row["state"] == "running":
            if holder is not None and version.row["fence"] != holder.row["fence"]:
                gap = (version.at - holder.at).total_seconds()
                yield Recovery(version.row["id"], version.row["fence"], gap)
            holder = version
        elif holder is not None and _gave_up_in_time(holder, version):
            holder = None


def _gave_up_in_time(holder: Version, version: Version) -> bool:
    """Whether the holder itself ended its claim, rather than the dispatcher after it."""
    return version.row["fence"] == holder.row["fence"] and (
        version.row["attempts"] != holder.row["attempts"]
        or version.row["state"] != "waiting"
        or version.at < datetime.fromisoformat(holder.row["lease_until"])
    )


def timeline(versions: Iterable[Version], work_id: str) -> str:
    """Return the changes of one row of work, one line each, for whoever must find out why."""
    shown = ("state", "fence", "attempts", "handout", "handed_out_at", "lease_until", "due_at")
    return "\n".join(
        f"{version.at:%H:%M:%S.%f} "
        + " ".join(f"{name}={version.row[name]}" for name in shown if version.row[name] is not None)
        for version in versions
        if version.row["id"] == work_id
    )


def failed_attempts(versions: Iterable[Version]) -> list[str]:
    """Return the error of each attempt that was counted as failed."""
    errors, attempts = [], {}
    for version in versions:
        row = version.row
        if row["attempts"] > attempts.get(row["id"], 0):
            errors.append(str(row["error"]))
        attempts[row["id"]] = row["attempts"]
    return errors
