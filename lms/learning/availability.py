"""When lessons open inside a run: pure computation over a published version's rules.

A lesson may open some days (of 24 hours) after the run's start or the enrollment's activation, and
in a sequential module once the required lessons before it are done. What is done stays open, so
that a later date or a new lesson before it takes nothing away from anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import UUID

LockReason = Literal["not_yet_available", "earlier_lessons"]
LOCK_REASONS: tuple[LockReason, ...] = ("not_yet_available", "earlier_lessons")

MOST_NAMED = 10
"""How many lessons a lock names: those to do next. The others are behind them anyway."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Why a lesson is not open.

    Attributes:
        reason: its date comes first, because nothing that the learner does changes that.
        available_at: when `not_yet_available` ends, UTC; None for an enrollment that is not active
            yet, and for the other reason.
        lessons: ids of required lessons of its module that are to be done before it, in order, at
            most `MOST_NAMED`.
    """

    reason: LockReason
    available_at: datetime | None
    lessons: tuple[UUID, ...]

    @property
    def remedy(self) -> str:
        """What opens it, as a sentence for people."""
        if self.reason == "earlier_lessons":
            return "It opens once the required lessons before it in its module are done."
        if self.available_at is None:
            return "When it opens is known once the enrollment is active."
        return f"It opens on {self.available_at:%Y-%m-%d at %H:%M} UTC."


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after something a lesson opens; `days` have 24 hours."""

    after: Literal["run_start", "activation"]
    days: int


@dataclass(frozen=True, slots=True)
class Moments:
    """What delays count from, and the moment that counts: all UTC, by the database's clock."""

    now: datetime
    run_starts_at: datetime
    activated_at: datetime | None

    def opening(self, delay: Delay) -> datetime | None:
        """Return when a delay is over; None while what it counts from has not happened."""
        start = self.run_starts_at if delay.after == "run_start" else self.activated_at
        return None if start is None else start + timedelta(days=delay.days)


@dataclass(frozen=True, slots=True)
class Step:
    """A required lesson of a sequential module."""

    lesson_id: UUID
    lineage_id: UUID


@dataclass(frozen=True, slots=True)
class Gate:
    """What holds one lesson back.

    Attributes:
        delay: until when; None when it does not wait for a date.
        module_id: its module, when that is sequential and has required lessons before this one.
        earlier: how many of the module's required lessons come before it.
    """

    delay: Delay | None = None
    module_id: UUID | None = None
    earlier: int = 0


@dataclass(frozen=True, slots=True)
class Gates:
    """What holds lessons of a version back.

    Attributes:
        lessons: by lineage; lessons that nothing holds back are not in it.
        sequences: the required lessons of each sequential module, in order.
    """

    lessons: Mapping[UUID, Gate]
    sequences: Mapping[UUID, Sequence[Step]]

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> Gates:
        """Read `published_versions.rules`.

        Versions that were published before there was any such thing hold nothing back.
        """
        lessons = {
            UUID(lineage): _parse_gate(rule)
            for lineage, rule in stored["lessons"].items()
            if rule.get("availability") or rule.get("earlier")
        }
        sequences = {
            UUID(module_id): [
                Step(UUID(one["lesson_id"]), UUID(one["lineage_id"])) for one in steps
            ]
            for module_id, steps in stored.get("sequences", {}).items()
        }
        return cls(lessons, sequences)


def locks_of(gates: Gates, moments: Moments, *, completed: Set[UUID]) -> dict[UUID, Lock]:
    """Return which lessons are locked for a learner now, and why.

    Args:
        gates: of the version.
        moments: of the run and the enrollment.
        completed: lineages of completed lessons.

    Returns:
        By lineage; lessons that are open are not in it.
    """
    # Once per module, and only those that are named: long modules would take the square of time.
    left = {
        module_id: list(islice(_left(steps, completed), MOST_NAMED))
        for module_id, steps in gates.sequences.items()
    }
    locks: dict[UUID, Lock] = {}
    for lineage, gate in gates.lessons.items():
        if lineage in completed:
            continue
        before = left[gate.module_id] if gate.module_id else ()
        lessons = tuple(lesson_id for place, lesson_id in before if place < gate.earlier)
        lock = _lock(gate.delay, moments, lessons)
        if lock is not None:
            locks[lineage] = lock
    return locks


def _left(steps: Sequence[Step], completed: Set[UUID]) -> Iterator[tuple[int, UUID]]:
    """Yield the steps that are to be done, with their places."""
    for place, step in enumerate(steps):
        if step.lineage_id not in completed:
            yield place, step.lesson_id


def _lock(delay: Delay | None, moments: Moments, lessons: tuple[UUID, ...]) -> Lock | None:
    if delay is not None:
        available_at = moments.opening(delay)
        if available_at is None or moments.now < available_at:
            return Lock("not_yet_available", available_at, lessons)
    return Lock("earlier_lessons", None, lessons) if lessons else None


def _parse_gate(rule: Mapping[str, Any]) -> Gate:
    delay = Delay(**rule["availability"]) if rule["availability"] else None
    earlier = rule["earlier"]
    return Gate(delay, UUID(earlier["module_id"]), earlier["count"]) if earlier else Gate(delay)
