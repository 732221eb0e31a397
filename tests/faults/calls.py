"""API workers are killed at a chosen moment of their calls to the payment provider."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, Self, get_args

import psutil

from tests.factories.jobs import until
from tests.factories.sandbox_gate import Moment, Passing, let_pass
from tests.faults.faults import kill_process
from tests.faults.stand import Stand

Phase = Literal["any", "before", "during", "decided", "commit"]
"""What a kill aims at. `any`: no call in particular; `before`: as the worker asks, so that the
provider never hears of it; `during`: while the provider is at it; `decided`: the provider has
decided, and its answer finds nobody; `commit`: shortly after the answer has come."""

PHASES: tuple[Phase, ...] = get_args(Phase)

Reached = Literal["nothing", "begun", "asked", "decided", "answered"]
"""How far a request was whose worker died. `nothing`: no transaction of it is committed; `begun`:
the first one is, and the provider was not asked; then as in `sandbox_gate.Moment`."""

REACHED: tuple[Reached, ...] = get_args(Reached)

AIM_SECONDS = 5.0
YOUNG_SECONDS = 7.0
"""Granian gives up on a worker that dies within 5.5 s of its start."""
LONGEST_CALL_SECONDS = 0.02
LONGEST_COMMIT_SECONDS = 0.01
"""Within which the answer is applied, mostly."""


@dataclass(frozen=True)
class Kill:
    """One that was made.

    Attributes:
        at: on this process's monotonic clock.
        phase: what it aimed at.
    """

    at: float
    phase: Phase


class Calls:
    """Watches the calls to a stand's provider, and strikes those who make them.

    Args:
        stand: whose gate is watched inside the `with` block.
        rng: makes all choices.

    Attributes:
        kills: those that were made, in order.
    """

    def __init__(self, stand: Stand, rng: random.Random) -> None:
        self.kills: list[Kill] = []
        self._stand = stand
        self._rng = rng
        self._lock = threading.Lock()
        self._wanted: Phase | None = None
        self._callers: dict[int, psutil.Process] = {}
        self._moments: dict[str, list[tuple[float, Moment]]] = {}

    def __enter__(self) -> Self:
        self._stand.gate.watch = self._watch
        return self

    def __exit__(self, *_error: object) -> None:
        self._stand.gate.watch = let_pass

    def kill(self, phase: Phase) -> bool:
        """Kill a worker in a phase; False when none came into it in time."""
        if phase == "any":
            time.sleep(self._rng.uniform(0, 0.1))
            workers = self._victims()
            return bool(workers) and self._strike(self._rng.choice(workers), phase)
        before = len(self.kills)
        self._wanted = phase
        try:
            until(lambda: len(self.kills) > before, AIM_SECONDS, every=0.01)
        except AssertionError:
            return False
        finally:
            self._wanted = None
        return True

    def reached(self, subject_id: str | None, at: float) -> Reached:
        """Tell how far the call for a payment, top-up or refund was at a moment."""
        if subject_id is None:
            return "nothing"
        passed = [moment for when, moment in self._moments.get(subject_id, ()) if when <= at]
        return passed[-1] if passed else "begun"

    def _watch(self, passing: Passing) -> bool:
        """Strike who makes this call, if it is in the phase that is wanted."""
        if passing.key is None:
            return True
        if passing.moment == "asked":
            self._recognize(passing.port)
            if self._strikes(passing, "before"):
                return False
        self._moments.setdefault(passing.key.split(":")[1], []).append(
            (time.monotonic(), passing.moment)
        )
        if passing.moment == "asked":
            self._strikes(passing, "during", LONGEST_CALL_SECONDS)
        elif passing.moment == "decided":
            return not self._strikes(passing, "decided")
        else:
            self._strikes(passing, "commit", LONGEST_COMMIT_SECONDS)
            self._callers.pop(passing.port, None)
        return True

    def _strikes(self, passing: Passing, phase: Phase, longest: float = 0.0) -> bool:
        """Kill the caller after a while, if that is wanted now and nobody was faster."""
        caller = self._callers.get(passing.port)
        with self._lock:
            if caller is None or self._wanted != phase:
                return False
            self._wanted = None
        time.sleep(self._rng.uniform(0, longest))
        return self._strike(caller, phase)

    def _strike(self, worker: psutil.Process, phase: Phase) -> bool:
        at = time.monotonic()
        if not kill_process(worker):
            return False
        self.kills.append(Kill(at, phase))
        return True

    def _victims(self) -> list[psutil.Process]:
        """All API workers but the one that was started last, while it is young.

        Killed again and again, it would look to the server like one that cannot start.
        """
        born: list[tuple[float, psutil.Process]] = []
        for worker in self._stand.processes("api worker"):
            with suppress(psutil.Error):
                born.append((worker.create_time(), worker))
        born.sort(key=lambda one: one[0])
        if born and time.time() - born[-1][0] < YOUNG_SECONDS:
            born.pop()
        return [worker for _, worker in born]

    def _recognize(self, port: int) -> None:
        """Find the API worker at the other end of a connection; jobs ask the provider too."""
        if self._wanted is None:
            return
        for worker in self._victims():
            with suppress(psutil.Error):
                ports = [c.laddr.port for c in worker.net_connections("tcp4") if c.laddr]
                if port in ports:
                    self._callers[port] = worker
