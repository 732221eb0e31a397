"""An archive of a course version: a ZIP of two JSON files, and what an import makes of them.

`manifest.json` says what it is and where it comes from:

    {"format": "course-version", "format_version": 1, "content_hash": SHA-256 in hex,
     "course": {"id", "title", "language"}, "version": {"id", "number", "label"}}

`version.json` is the content, modules and lessons in their order:

    {"modules": [{"lineage_id", "title", "summary", "sequential", "lessons": [
        {"lineage_id", "kind", "title", "content", "estimated_seconds", "required", "preview",
         "weight", "completion", "availability", "media": [
            {"asset_id", "file_name", "kind", "content_type", "size", "sha256"}]}]}]}

Nothing in it belongs to an organization, and no time is in it: the same content makes the same
bytes. Media is named and not contained. `content_hash` leaves ids out, so it is the same wherever
the content is: SHA-256 over each module and then its lessons, in order, as one line of JSON each
(sorted keys, no spaces, UTF-8, ended by a line feed), without `lineage_id`, `asset_id` and a
module's `lessons`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

FORMAT = "course-version"
FORMAT_VERSION = 1
"""Counts up when older readers would misread what is written."""

MEDIA_TYPE = "application/zip"
MANIFEST = "manifest.json"
CONTENT = "version.json"

MAX_ARCHIVE_BYTES = 8 * 1024 * 1024
"""Of an archive that is imported."""

MAX_ENTRY_BYTES = {MANIFEST: 64 * 1024, CONTENT: 32 * 1024 * 1024}
"""Of its files, unpacked."""

MAX_VALUES = 100_000
"""Most values in one of its files: a thousand lessons have a fifth of it. Each takes memory."""

MAX_MEDIA = 100
"""Files of one lesson. Each that is missing is told in the answer, with its lesson."""


@dataclass(frozen=True, slots=True)
class ArchivedMedia:
    """A file of a lesson, without its bytes.

    Attributes:
        file_name: the name under which learners download it.
        kind: of content, such as `video`; `unknown` when its upload was never completed.
        content_type: media type.
        size: bytes.
        sha256: of the bytes, in hex; None when it was never told.
        asset_id: the bytes' id where the archive was made.
    """

    file_name: str
    kind: str
    content_type: str
    size: int
    sha256: str | None
    asset_id: UUID | None


@dataclass(frozen=True, slots=True)
class ArchivedLesson:
    """A lesson.

    Attributes:
        lineage_id: its lineage where the archive was made; None for one that was added to it.
        values: all of a lesson's members, as `operations.content.create_lesson` takes them, with
            its completion rule.
        media: its files, in order.
    """

    lineage_id: UUID | None
    values: dict[str, Any]
    media: Sequence[ArchivedMedia]


@dataclass(frozen=True, slots=True)
class ArchivedModule:
    """A module.

    Attributes:
        lineage_id: its lineage where the archive was made; None for one that was added to it.
        title: as learners see it.
        summary: what it is about.
        sequential: each lesson opens once the required ones before it are done.
        lessons: in order.
    """

    lineage_id: UUID | None
    title: str
    summary: str
    sequential: bool
    lessons: Sequence[ArchivedLesson]


@dataclass(frozen=True, slots=True)
class VersionArchive:
    """An archive that was read and found in order.

    Attributes:
        version_id: the version that it was made of.
        label: that version's name for people.
        modules: in order.
    """

    version_id: UUID
    label: str
    modules: Sequence[ArchivedModule]
