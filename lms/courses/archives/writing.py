"""Writing a version as an archive, lesson by lesson: memory does not grow with its length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import orjson
from sqlalchemy import Row

from lms.courses.archives.format import CONTENT, FORMAT, FORMAT_VERSION, MANIFEST
from lms.courses.archives.queries import ExportedVersion

LESSON_MEMBERS = (
    *("lineage_id", "kind", "title", "content", "estimated_seconds", "required", "preview"),
    *("weight", "completion", "availability", "media"),
)


def write_archive(sink: IO[bytes], exported: ExportedVersion) -> None:
    """Write an archive; the same content gives the same bytes.

    Args:
        sink: where to; seekable.
        exported: what; its rows are used up.
    """
    course, version = exported.course, exported.version
    digest = _ContentDigest()
    with ZipFile(sink, "w") as archive:
        with archive.open(_entry(CONTENT), "w") as content:
            for piece in _pieces(exported.rows, digest):
                content.write(piece)
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "content_hash": digest.hex,
            "course": {"id": course.id, "title": course.title, "language": course.language},
            "version": {"id": version.id, "number": version.number, "label": version.label},
        }
        archive.writestr(_entry(MANIFEST), orjson.dumps(manifest, option=orjson.OPT_INDENT_2))


class _ContentDigest:
    """The `content_hash` of the format."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, node: Mapping[str, Any]) -> None:
        """Take a module without its lessons, or a lesson."""
        said = {name: value for name, value in node.items() if name != "lineage_id"}
        if "media" in said:
            said["media"] = [
                {name: value for name, value in file.items() if name != "asset_id"}
                for file in said["media"]
            ]
        line = orjson.dumps(said, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        self._hash.update(line)

    @property
    def hex(self) -> str:
        """The hash of what was taken until now."""
        return self._hash.hexdigest()


def _pieces(rows: Iterator[Row[Any]], digest: _ContentDigest) -> Iterator[bytes]:
    """Yield `version.json`: one line for each module and each lesson, so that tools can compare."""
    yield b'{"modules": ['
    for number, (_, of_module) in enumerate(groupby(rows, key=lambda row: row.module_id)):
        first = next(of_module)
        module = {
            "lineage_id": first.module_lineage_id,
            "title": first.module_title,
            "summary": first.summary,
            "sequential": first.sequential,
        }
        digest.add(module)
        yield (b",\n" if number else b"\n") + orjson.dumps(module)[:-1] + b', "lessons": ['
        # A module without lessons has one row all the same, with nothing behind the module.
        if first.lineage_id is not None:
            yield b"\n" + _lesson(first, digest)
            for row in of_module:
                yield b",\n" + _lesson(row, digest)
        yield b"]}"
    yield b"]}\n"


def _lesson(row: Row[Any], digest: _ContentDigest) -> bytes:
    lesson = {name: getattr(row, name) for name in LESSON_MEMBERS}
    digest.add(lesson)
    return orjson.dumps(lesson)


def _entry(name: str) -> ZipInfo:
    # With the date that ZipInfo has by itself: the present one would change the bytes.
    entry = ZipInfo(name)
    entry.compress_type = ZIP_DEFLATED
    return entry
