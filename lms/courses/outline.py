"""The content of a version as one document: built, judged for publishing and hashed. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from lms.courses.markdown import to_html
from lms.courses.models import CourseVersion, Lesson, Module


@dataclass(frozen=True, slots=True)
class LessonMedia:
    """A lesson's file with what is known of its bytes, and of its video when it is one.

    Attributes:
        size: bytes.
        asset_state: one of `ASSET_STATES`.
        video_state: one of `VIDEO_STATES`; None when there is no video.
        duration_seconds: of the video, once probed.
    """

    lesson_id: UUID
    media_file_id: UUID
    asset_id: UUID
    kind: str
    content_type: str
    file_name: str
    size: int
    asset_state: str
    video_id: UUID | None
    video_state: str | None
    duration_seconds: float | None

    @property
    def is_ready(self) -> bool:
        """Whether learners could open it now; a video must be playable."""
        playable = self.kind != "video" or self.video_state == "ready"
        return self.asset_state == "ready" and playable


@dataclass(frozen=True, slots=True)
class Tree:
    """A version's rows, each level in order: modules, their lessons, the lessons' media."""

    version: CourseVersion
    modules: Sequence[Module]
    lessons: dict[UUID, list[Lesson]]
    media: dict[UUID, list[LessonMedia]]

    @classmethod
    def of(
        cls,
        version: CourseVersion,
        modules: Sequence[Module],
        lessons: Iterable[Lesson],
        media: Iterable[LessonMedia],
    ) -> Tree:
        """Put the rows together.

        Args:
            version: whose content it is.
            modules: in order.
            lessons: of all modules, those of one module together and in order.
            media: of all lessons, those of one lesson together and in order.
        """
        return cls(
            version,
            modules,
            {key: list(rows) for key, rows in groupby(lessons, lambda row: row.module_id)},
            {key: list(rows) for key, rows in groupby(media, lambda row: row.lesson_id)},
        )

    def lessons_of(self, module: Module) -> list[Lesson]:
        """Return a module's lessons, in order."""
        return self.lessons.get(module.id, [])

    def media_of(self, lesson: Lesson) -> list[LessonMedia]:
        """Return a lesson's files, oldest first."""
        return self.media.get(lesson.id, [])

    def video_of(self, lesson: Lesson) -> LessonMedia | None:
        """Return the video that the lesson is about: its first, or None."""
        return next((one for one in self.media_of(lesson) if one.kind == "video"), None)


def outline_of(tree: Tree) -> dict[str, Any]:
    """Return the content as learners get it: JSON-ready, in the form of the API's answer.

    Once it is published it is answered as it is stored, so what is not for learners is not in it.

    Labels, dates and prices are not in it: they may change after publishing. The HTML of lessons is
    in it, so that a later renderer changes nothing of what learners see.
    """
    outline = unrendered_outline_of(tree)
    return {**outline, "modules": rendered(outline["modules"])}


def unrendered_outline_of(tree: Tree) -> dict[str, Any]:
    """Return the outline without `content_html`, which takes seconds for a thousand lessons."""
    version = tree.version
    return {
        "version": {
            "id": str(version.id),
            "course_id": str(version.course_id),
            "number": version.number,
        },
        "modules": [_module(tree, module) for module in tree.modules],
    }


def rendered(modules: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return an unrendered outline's modules with `content_html` in each of their lessons."""
    return [
        {
            **module,
            "lessons": [
                {**lesson, "content_html": to_html(lesson["content"])}
                for lesson in module["lessons"]
            ],
        }
        for module in modules
    ]


def rules_of(tree: Tree) -> dict[str, Any]:
    """Return what completion needs: each lesson's rule by lineage, and the total to reach.

    `lineages` leads from a lesson's id in this version to its lineage. `required_weight` is the sum
    of the weights of required lessons; `duration_seconds` is that of the lesson's video, None
    without one. `sequences` holds the required lessons of each sequential module, in order, those
    that staff mark too. A lesson with `earlier` opens once the first `count` of its module's are
    done.
    """
    rules: dict[str, Any] = {}
    lineages: dict[str, str] = {}
    sequences: dict[str, list[dict[str, str]]] = {}
    required_weight = 0
    for module in tree.modules:
        sequence = sequences.setdefault(str(module.id), []) if module.sequential else []
        for lesson in tree.lessons_of(module):
            video = tree.video_of(lesson)
            lineages[str(lesson.id)] = str(lesson.lineage_id)
            rules[str(lesson.lineage_id)] = {
                "required": lesson.required,
                "weight": lesson.weight,
                "completion": lesson.completion,
                "kind": lesson.kind,
                "duration_seconds": None if video is None else video.duration_seconds,
                "availability": lesson.availability,
                "earlier": _earlier(module, sequence),
            }
            if lesson.required:
                required_weight += lesson.weight
                step = {"lesson_id": str(lesson.id), "lineage_id": str(lesson.lineage_id)}
                sequence.append(step)
    return {
        "lessons": rules,
        "lineages": lineages,
        "sequences": sequences,
        "required_weight": required_weight,
    }


def problems_of(tree: Tree) -> list[dict[str, str]]:
    """Return everything that keeps a version from being published; empty when it is ready.

    Each problem has a stable `code`, a `message` for people, and the `lesson_id` or `module_id`
    that it is about (neither for `no_lessons`).
    """
    problems: list[dict[str, str]] = []
    if not tree.lessons:
        problems.append({"code": "no_lessons", "message": "The version has no lesson."})
    for module in tree.modules:
        if not tree.lessons_of(module):
            problems.append(
                {
                    "module_id": str(module.id),
                    "code": "empty_module",
                    "message": f"The module {module.title!r} has no lesson.",
                }
            )
        for lesson in tree.lessons_of(module):
            problems += _problems_of_lesson(tree, lesson)
    return problems


def content_hash(outline: dict[str, Any], rules: dict[str, Any]) -> str:
    """Return the SHA-256, in hex, of the canonical JSON (sorted keys, no spaces) of both."""
    canonical = json.dumps(
        {"outline": outline, "rules": rules},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _earlier(module: Module, sequence: Sequence[object]) -> dict[str, Any] | None:
    """Return what of a sequential module comes before a lesson; None when nothing holds it up."""
    if not (module.sequential and sequence):
        return None
    return {"module_id": str(module.id), "count": len(sequence)}


def _module(tree: Tree, module: Module) -> dict[str, Any]:
    return {
        "id": str(module.id),
        "lineage_id": str(module.lineage_id),
        "title": module.title,
        "summary": module.summary,
        "sequential": module.sequential,
        "lessons": [_lesson(tree, lesson) for lesson in tree.lessons_of(module)],
    }


def _lesson(tree: Tree, lesson: Lesson) -> dict[str, Any]:
    return {
        "id": str(lesson.id),
        "lineage_id": str(lesson.lineage_id),
        "kind": lesson.kind,
        "title": lesson.title,
        "content": lesson.content,
        "estimated_seconds": lesson.estimated_seconds,
        "required": lesson.required,
        "preview": lesson.preview,
        "weight": lesson.weight,
        "completion": lesson.completion,
        "availability": lesson.availability,
        "media": [_media(one) for one in tree.media_of(lesson)],
    }


def _media(media: LessonMedia) -> dict[str, Any]:
    return {
        "media_file_id": str(media.media_file_id),
        "kind": media.kind,
        "content_type": media.content_type,
        "file_name": media.file_name,
        "size": media.size,
        "video_id": None if media.video_id is None else str(media.video_id),
        "duration_seconds": media.duration_seconds,
    }


def _problems_of_lesson(tree: Tree, lesson: Lesson) -> list[dict[str, str]]:
    media = tree.media_of(lesson)
    found: list[tuple[str, str]] = []
    if lesson.kind == "video" and tree.video_of(lesson) is None:
        found.append(("video_missing", f"The video lesson {lesson.title!r} has no video."))
    for one in media:
        if not one.is_ready:
            code = "video_not_ready" if one.kind == "video" else "media_not_ready"
            state = one.video_state if one.asset_state == "ready" else one.asset_state
            found.append((code, f"{one.file_name!r} of {lesson.title!r} is {state}."))
    return [
        {"lesson_id": str(lesson.id), "code": code, "message": message} for code, message in found
    ]
