"""What progress means: pure computation over a published version's rules.

`percent = floor(100 * completed required weight / total required weight)`. Optional lessons count
for nothing in it; without a required lesson there is nothing to complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Literal, TypeVar
from uuid import UUID

CompletionRule = Literal["viewed", "dwell", "watched", "marked_by_learner", "marked_by_staff"]
Interval = tuple[int, int]
"""Whole seconds of a video, half-open: (0, 10) is its first ten seconds."""

LONGEST_UNKNOWN_VIDEO = 24 * 3600
"""Seconds that intervals may reach while a video's duration is not known."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LessonRule:
    """What a published version's rules say of one lesson.

    Attributes:
        required: whether it counts.
        weight: how much it counts among the required ones.
        completion: when it is complete.
        threshold: seconds for `dwell`, percent of the video for `watched`, else 0.
        duration_seconds: of the lesson's video; None when it has none.
    """

    required: bool
    weight: int
    completion: CompletionRule
    threshold: int = 0
    duration_seconds: float | None = None

    @classmethod
    def parse(cls, stored: Mapping[str, Any]) -> LessonRule:
        """Read one lesson's entry of `published_versions.rules`."""
        completion = stored["completion"]
        return cls(
            required=stored["required"],
            weight=stored["weight"],
            completion=completion["rule"],
            threshold=completion.get("seconds", completion.get("percent", 0)),
            duration_seconds=stored["duration_seconds"],
        )

    @property
    def explanation(self) -> str:
        """What completes the lesson, as a sentence for people."""
        return {
            "viewed": "It is complete once it was opened.",
            "dwell": f"It is complete after {self.threshold} seconds in it.",
            "watched": f"It is complete once {self.threshold} % of its video was watched.",
            "marked_by_learner": "It is complete once you mark it as done.",
            "marked_by_staff": "It is complete once the course's staff mark it as done.",
        }[self.completion]


@dataclass(frozen=True, slots=True)
class Activity:
    """What a learner has done in one lesson so far.

    Attributes:
        viewed: it was opened.
        marked: the learner says that it is done.
        dwell_seconds: time spent in it.
        watched_seconds: distinct seconds of its video that were played.
    """

    viewed: bool = False
    marked: bool = False
    dwell_seconds: int = 0
    watched_seconds: int = 0


def parse_rules(stored: Mapping[str, Any]) -> dict[UUID, LessonRule]:
    """Read `published_versions.rules`: what each lesson lineage needs."""
    lessons = stored["lessons"]
    return {UUID(lineage): LessonRule.parse(rule) for lineage, rule in lessons.items()}


def percent_of(rules: Mapping[UUID, LessonRule], completed: Set[UUID]) -> int:
    """Return the progress through a version in percent, rounded down.

    Args:
        rules: of the version, by lesson lineage.
        completed: lineages of completed lessons; ones that the version does not have are ignored.
    """
    required = {lineage: rule.weight for lineage, rule in rules.items() if rule.required}
    if not required:
        return 0
    done = sum(weight for lineage, weight in required.items() if lineage in completed)
    return 100 * done // sum(required.values())


def fulfils(rule: LessonRule, activity: Activity) -> bool:
    """Whether a learner's own activity completes the lesson. Staff's marks are not activity."""
    match rule.completion:
        case "viewed":
            return activity.viewed
        case "dwell":
            return activity.dwell_seconds >= rule.threshold
        case "watched":
            return _watched_enough(rule, activity.watched_seconds)
        case "marked_by_learner":
            return activity.marked
        case "marked_by_staff":
            return False


def watched_percent(watched_seconds: int, duration_seconds: float | None) -> int | None:
    """Return how much of a video was watched, rounded down, or None when it has no duration."""
    if duration_seconds is None:
        return None
    return min(100, 100 * watched_seconds // whole_seconds(duration_seconds))


def whole_seconds(duration_seconds: float) -> int:
    """Return the seconds of a video that count: players cannot report the last broken one."""
    return max(1, floor(duration_seconds))


def next_of(lessons: Sequence[T], *, required: Set[T], completed: Set[T]) -> T | None:
    """Return what to do next: the first open required lesson, else the first open optional one.

    Args:
        lessons: those of a version that are open, in its order.
        required: those that count.
        completed: those that are done.

    Returns:
        None when all of them are done.
    """
    left = [lesson for lesson in lessons if lesson not in completed]
    return next((lesson for lesson in left if lesson in required), left[0] if left else None)


def _watched_enough(rule: LessonRule, watched_seconds: int) -> bool:
    if rule.duration_seconds is None:
        return False
    needed = ceil(rule.threshold * whole_seconds(rule.duration_seconds) / 100)
    return watched_seconds >= needed
