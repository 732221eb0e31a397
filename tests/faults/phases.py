"""Where a conversion is just now, seen from outside its process."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from jobs.scratch import PREFIX
from tests.faults.stand import Stand, command_of

PHASES = ("claim", "fetch", "probe", "encode", "verify", "store", "publish")
Horse = tuple[int, float]


class Phases:
    """Watches the work-horses of a stand."""

    def __init__(self, stand: Stand) -> None:
        self._stand = stand
        self._had_scratch: set[Horse] = set()

    def aim(self, wanted: str, seconds: float) -> tuple[psutil.Process | None, str]:
        """Wait a while for a conversion in a phase.

        Returns:
            A work-horse and its phase, the wanted one if possible; None and `idle` without any.
        """
        deadline = time.monotonic() + seconds
        found: tuple[psutil.Process | None, str] = (None, "idle")
        while time.monotonic() < deadline:
            for horse in self._stand.processes("work-horse"):
                phase = self.phase_of(horse)
                if phase is not None:
                    found = (horse, phase)
                if phase == wanted:
                    return found
            time.sleep(0.005)
        return found

    def phase_of(self, horse: psutil.Process) -> str | None:
        """Return the phase of a work-horse's job; None when it has ended."""
        try:
            identity = (horse.pid, horse.create_time())
            scratch = _scratch_of(horse.pid)
            children = horse.children(recursive=True)
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            return None
        if scratch is None:
            return "publish" if identity in self._had_scratch else "claim"
        self._had_scratch.add(identity)
        return _phase_of_files(scratch / "out", [command_of(child) for child in children])


def _phase_of_files(out: Path, commands: list[list[str]]) -> str:
    if any("hls" in command for command in commands):
        return "encode"
    if not out.exists():
        return "fetch"
    if not any(out.glob("*.m3u8")):
        return "probe"
    return "verify" if commands or not (out / "poster.jpg").exists() else "store"


def _scratch_of(pid: int) -> Path | None:
    """Return the scratch directory that a process holds open."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = descriptor.readlink()
        except FileNotFoundError:
            continue
        if target.name.startswith(PREFIX):
            return target
    return None
