"""Videos that are uploaded without end while faults strike: what happens, and the count of it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psutil
from sqlalchemy import Row, text

from tenants.session import PLATFORM
from tests.factories.jobs import LEASE_SECONDS, until
from tests.faults.faults import Faults, kill_process
from tests.faults.phases import PHASES, Phases
from tests.faults.stand import Stand
from tests.faults.videos import Teacher

FREEZE_SECONDS = 1.5 * LEASE_SECONDS
OPEN_VIDEOS = 2
"""So many wait or are converted at any time."""

TRIES = 5
"""How often a fault looks for a victim before the next one has its turn."""

SETTLE_SECONDS = 300.0
OVERTIME_SECONDS = 300.0
"""So much longer than planned a storm may take until all its faults have met something."""

IDLE = "idle"
"""Instead of a phase, where a fault met no conversion."""

BROKEN = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 20

Strike = Callable[[psutil.Process | None], bool]

OPEN_WORK = text("""
    SELECT count(*) AS rows, COALESCE(max(attempts), 0) AS attempts
      FROM platform.work WHERE queue = 'media' AND state IN ('waiting', 'running')
""")
UNSETTLED = text("SELECT count(*) AS videos FROM videos WHERE state = 'processing'")


def strikes_on(faults: Faults) -> dict[str, tuple[Strike, int]]:
    """Name every kind of fault; with each, how often it comes relative to the others."""

    def on_horse(strike: Callable[[psutil.Process], bool]) -> Strike:
        return lambda horse: horse is not None and strike(horse)

    def kill_worker_of(horse: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            worker = horse.parent()
            return worker is not None and kill_process(worker)
        return False

    def freeze_worker_of(horse: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            worker = horse.parent()
            return worker is not None and faults.freeze_process(
                worker, FREEZE_SECONDS, with_children=True
            )
        return False

    def always(strike: Callable[[], bool]) -> Strike:
        return lambda _horse: strike()

    return {
        "kill work-horse": (on_horse(kill_process), 6),
        "kill worker": (on_horse(kill_worker_of), 6),
        "kill ffmpeg": (always(lambda: faults.kill_program("ffmpeg")), 3),
        "kill default worker": (always(lambda: faults.kill("default worker")), 1),
        "kill dispatcher": (always(lambda: faults.kill("dispatcher")), 3),
        "kill API worker": (always(lambda: faults.kill("api worker")), 2),
        "kill API": (always(lambda: faults.kill("api")), 1),
        "kill Redis": (always(lambda: faults.kill_redis(0.5)), 3),
        "flush Redis": (always(faults.flush_redis), 3),
        "stop PostgreSQL fast": (always(lambda: faults.stop_postgres("fast", 0.5)), 2),
        "stop PostgreSQL immediate": (always(lambda: faults.stop_postgres("immediate", 0.5)), 3),
        "freeze work-horse": (on_horse(lambda h: faults.freeze_process(h, FREEZE_SECONDS)), 3),
        "freeze worker": (on_horse(freeze_worker_of), 3),
        "freeze dispatcher": (always(lambda: faults.freeze("dispatcher", FREEZE_SECONDS)), 1),
        "freeze API worker": (always(lambda: faults.freeze("api worker", FREEZE_SECONDS)), 1),
        "deliver running again": (always(lambda: faults.deliver_again("running")), 3),
        "deliver waiting again": (always(lambda: faults.deliver_again("waiting")), 2),
        "storage delays": (always(lambda: faults.spoil_storage("delay", 2.0)), 2),
        "storage hangs": (always(lambda: faults.spoil_storage("hang", 2.0)), 2),
        "storage resets": (always(lambda: faults.spoil_storage("reset", 1.0)), 2),
        "storage refuses": (always(lambda: faults.spoil_storage("refuse", 1.0)), 2),
        "storage truncates": (always(lambda: faults.spoil_storage("truncate", 1.0)), 2),
    }


FAILS_ATTEMPTS = ("kill ffmpeg", "storage ")
"""Faults that a job counts as a failed attempt: spared when one is near its last."""


@dataclass
class Storm:
    """Teachers who upload without end, faults that strike meanwhile, and the count of both.

    Attributes:
        stand, faults: what is struck, and by what.
        teachers: each uploads in a thread of its own.
        clip: the video that they upload, encoded.
        rng: makes all choices.
        say: takes lines for people.
        uploaded: the videos that the API has accepted.
        broken: those of them that cannot be converted.
        struck: how often each kind of fault met a conversion in each phase, or IDLE.
        aim_seconds: how long a fault waits for a conversion in the phase that it aims at.
        ended: set when no more is to be uploaded.
    """

    stand: Stand
    faults: Faults
    teachers: list[Teacher]
    clip: bytes
    rng: random.Random
    say: Callable[[str], None]
    uploaded: list[UUID] = field(default_factory=list)
    broken: set[UUID] = field(default_factory=set)
    struck: Counter[tuple[str, str]] = field(default_factory=Counter)
    aim_seconds: float = 2.0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def met(self) -> int:
        """How many faults met a conversion."""
        return sum(n for (_, phase), n in self.struck.items() if phase != IDLE)

    @property
    def missing(self) -> list[str]:
        """The kinds of faults that met no conversion so far."""
        met = {kind for (kind, phase), n in self.struck.items() if n and phase != IDLE}
        return [kind for kind in strikes_on(self.faults) if kind not in met]

    def run(self, kinds: Iterator[str], count: int, *, seconds: float) -> None:
        """Strike until `count` faults met a conversion, and one of each kind did.

        Args:
            kinds: what comes next, without end.
            count: how many.
            seconds: over which they are spread; it may take longer.

        Raises:
            AssertionError: it took far longer.
        """
        strikes, phases, began = strikes_on(self.faults), Phases(self.stand), time.monotonic()
        with ThreadPoolExecutor(len(self.teachers)) as threads:
            uploads = [threads.submit(self._upload, teacher) for teacher in self.teachers]
            try:
                while self.met < count or self.missing:
                    assert time.monotonic() < began + seconds + OVERTIME_SECONDS, (
                        f"{self.met} of {count} faults met a conversion; none: {self.missing}"
                    )
                    kind = next(kinds) if self.met < count else self.rng.choice(self.missing)
                    any(self._strike(kind, strikes[kind][0], phases) for _ in range(TRIES))
                    done = self.met
                    if done % 10 == 0:
                        self.say(self._progress(done, count, began))
                    if any(upload.done() for upload in uploads):
                        break
                    planned = began + seconds * done / count
                    time.sleep(max(0.0, planned - time.monotonic()) * self.rng.uniform(0, 2))
            finally:
                self.ended.set()
                self.faults.heal()
            for upload in uploads:
                upload.result()

    def settle(self) -> None:
        """Wait until nothing is converted any more."""

        def settled() -> bool:
            rows = [self.stand.rows(teacher.scope, UNSETTLED)[0] for teacher in self.teachers]
            return not any(row.videos for row in rows) and self._open_work().rows == 0

        until(settled, SETTLE_SECONDS, every=0.5)

    def _strike(self, kind: str, strike: Strike, phases: Phases) -> bool:
        """Strike once, aiming at a conversion in a chosen phase; False when it met nothing."""
        if kind.startswith(FAILS_ATTEMPTS) and self._open_work().attempts >= 2:
            return False
        wanted = "encode" if kind == "kill ffmpeg" else self.rng.choice(PHASES)
        horse, phase = phases.aim(wanted, self.aim_seconds)
        if not strike(horse):
            return False
        self.struck[kind, phase] += 1
        return True

    def _upload(self, teacher: Teacher) -> None:
        number = 0
        while not self.ended.is_set():
            if self._open_work().rows >= OPEN_VIDEOS:
                self.ended.wait(0.1)
                continue
            number += 1
            broken = number % 12 == 6
            video_id = teacher.upload(BROKEN if broken else self.clip)
            self.uploaded.append(video_id)
            if broken:
                self.broken.add(video_id)

    def _open_work(self) -> Row[Any]:
        return self.stand.rows(PLATFORM, OPEN_WORK)[0]

    def _progress(self, done: int, count: int, began: float) -> str:
        return (
            f"{time.monotonic() - began:5.0f} s: {done}/{count} faults,"
            f" {len(self.uploaded)} videos accepted"
        )

    def histogram(self) -> str:
        """Return the faults by kind and by the phase of the conversion that they met.

        Those that met none stand apart, in the last column.
        """
        heads = "".join(f"{column:>9}" for column in (*PHASES, "met", IDLE))
        kinds = sorted({kind for kind, _ in self.struck})
        lines = [f"{'fault':28}{heads}", *(self._line(kind, {kind}) for kind in kinds)]
        return "\n".join([*lines, self._line("all", set(kinds))])

    def _line(self, name: str, kinds: set[str]) -> str:
        of = {
            column: sum(self.struck[kind, column] for kind in kinds) for column in (*PHASES, IDLE)
        }
        idle = of.pop(IDLE)
        return f"{name:28}" + "".join(f"{n:9}" for n in (*of.values(), sum(of.values()), idle))
