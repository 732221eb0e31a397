"""Reading an archive that somebody sends: nothing about it is believed.

It is never unpacked to files, so names lead nowhere; what it may take of memory is bounded before
it is taken.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import marshmallow as ma

from lms.core.errors import InvalidInputError
from lms.courses import policy
from lms.courses.archives.format import (
    CONTENT,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    MAX_ENTRY_BYTES,
    MAX_VALUES,
    ArchivedLesson,
    ArchivedMedia,
    ArchivedModule,
    VersionArchive,
)
from lms.courses.archives.schemas import ContentFile, ManifestFile
from lms.courses.errors import ArchiveFormatError, ArchiveTooLargeError, InvalidArchiveError
from lms.http.bodies import MalformedBodyError, has_more_texts, parse_json, structure_of
from lms.http.problems import pointers_of
from lms.http.schemas import Schema

MAX_ERRORS = 100
"""Most mistakes that an answer lists."""

# PKWARE's APPNOTE 4.3.16: the end of central directory record. Its size comes before its place.
END = struct.Struct("<4s4H2LH")
END_SIGNATURE, LOCATOR_SIGNATURE, LOCATOR_BYTES = b"PK\x05\x06", b"PK\x06\x07", 20
MAX_DIRECTORY_BYTES = 4096
"""Two entries take some hundred bytes, also with what some programs add to them."""

UNREADABLE = (
    *(BadZipFile, EOFError, NotImplementedError, OSError, OverflowError, RuntimeError),
    *(ValueError, struct.error, zlib.error),
)
"""What `zipfile` raises when an archive is damaged, encrypted or made to hurt."""


def read_archive(raw: bytes) -> VersionArchive:
    """Read an archive.

    Args:
        raw: the ZIP, as it came.

    Raises:
        InvalidArchiveError: it is no such archive; with what is wrong in which of its files.
        ArchiveFormatError: it is of another format, or of a newer version of it.
        ArchiveTooLargeError: one of its files is too large.
        VersionFullError: it has more modules or lessons than a version may have.
    """
    _check_directory(raw)
    try:
        with ZipFile(BytesIO(raw)) as archive:
            _check_entries(archive)
            manifest, content = (_unpacked(archive, name) for name in (MANIFEST, CONTENT))
    except UNREADABLE as error:
        raise InvalidArchiveError("The archive is damaged; export it again.") from error
    said = _manifest(_document(MANIFEST, manifest))
    modules = _modules(_document(CONTENT, content))
    return VersionArchive(said["version"]["id"], said["version"]["label"], modules)


def _check_directory(raw: bytes) -> None:
    """Bound the list of entries before `zipfile` makes an object of each.

    It takes the last record without a comment at its word, unless there is one of ZIP64.
    """
    end = raw[-END.size :]
    if len(end) < END.size or end[:4] != END_SIGNATURE or end[-2:] != b"\0\0":
        raise InvalidArchiveError("This is not a ZIP archive, or one with a comment.")
    _, _, _, _, _, directory_bytes, directory_place, _ = END.unpack(end)
    before = raw[-END.size - LOCATOR_BYTES : -END.size]
    if directory_bytes > MAX_DIRECTORY_BYTES or before.startswith(LOCATOR_SIGNATURE):
        raise _other_entries()
    if directory_place + directory_bytes + END.size != len(raw):
        raise InvalidArchiveError("The archive is damaged, or something stands before it.")


def _check_entries(archive: ZipFile) -> None:
    entries = archive.infolist()
    if sorted(entry.filename for entry in entries) != [MANIFEST, CONTENT]:
        raise _other_entries()
    for entry in entries:
        # Others may ask for a gigabyte of memory before they unpack a byte.
        if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise InvalidArchiveError("Its files must be stored or deflated.", entry=entry.filename)


def _unpacked(archive: ZipFile, name: str) -> bytes:
    limit = MAX_ENTRY_BYTES[name]
    with archive.open(name) as entry:
        # One byte more than allowed, whatever it is said to have.
        found = entry.read(limit + 1)
    if len(found) > limit:
        raise ArchiveTooLargeError(
            f"{name} has more than {limit} bytes.", entry=name, limit_bytes=limit
        )
    return found


def _document(name: str, raw: bytes) -> Any:
    if _is_crowded(raw):
        raise ArchiveTooLargeError(
            f"{name} has more than {MAX_VALUES} values.", entry=name, limit_values=MAX_VALUES
        )
    try:
        return parse_json(raw)
    except MalformedBodyError as error:
        raise InvalidArchiveError(f"{name} cannot be read. {error.detail}", entry=name) from error


def _is_crowded(raw: bytes) -> bool:
    """Tell whether there are more values than there may be, before anything is made of them."""
    # Each value is one text or none, and has one name or none.
    if has_more_texts(raw, 2 * MAX_VALUES):
        return True
    structure = structure_of(raw)
    return sum(structure.count(mark) for mark in (b"[", b"{", b",")) > MAX_VALUES


def _manifest(document: Any) -> dict[str, Any]:
    found = document if isinstance(document, dict) else {}
    name, version = found.get("format"), found.get("format_version")
    newer = isinstance(version, int) and version > FORMAT_VERSION
    if name != FORMAT or newer:
        raise ArchiveFormatError(
            f"Archives of the format {FORMAT!r} are taken, up to version {FORMAT_VERSION}.",
            format=FORMAT,
            format_version=FORMAT_VERSION,
        )
    return _loaded(ManifestFile(), MANIFEST, document)


def _modules(document: Any) -> list[ArchivedModule]:
    # Before any is looked at: a million wrong ones would make a million messages.
    policy.check_room_for_modules(len(_listed(document, "modules")))
    lessons = (_listed(module, "lessons") for module in _listed(document, "modules"))
    policy.check_room_for_lessons(sum(map(len, lessons)))
    modules = _loaded(ContentFile(), CONTENT, document)["modules"]
    wrong = [*_twice(modules), *_unfit(modules)]
    if wrong:
        raise _wrong(CONTENT, wrong)
    return [_module(one) for one in modules]


def _listed(node: Any, name: str) -> Sequence[Any]:
    found = node.get(name) if isinstance(node, dict) else None
    return found if isinstance(found, list) else ()


def _loaded(schema: Schema, name: str, document: Any) -> dict[str, Any]:
    try:
        loaded: Any = schema.load(document)
    except ma.ValidationError as error:
        raise _wrong(name, pointers_of(error.messages)) from error
    return loaded


def _places(modules: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every lesson with the JSON pointer to it."""
    for number, module in enumerate(modules):
        for place, lesson in enumerate(module["lessons"]):
            yield f"/modules/{number}/lessons/{place}", lesson


def _twice(modules: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Tell which lineages are more than one module's or lesson's."""
    numbered = ((f"/modules/{number}", module) for number, module in enumerate(modules))
    for nodes in (numbered, _places(modules)):
        seen: Counter[UUID] = Counter()
        for pointer, node in nodes:
            lineage_id = node["lineage_id"]
            if lineage_id is None:
                continue
            seen[lineage_id] += 1
            if seen[lineage_id] > 1:
                yield {"pointer": f"{pointer}/lineage_id", "message": "In the archive twice."}


def _unfit(modules: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """Tell which completion rules make no sense for their lessons."""
    for pointer, lesson in _places(modules):
        try:
            policy.completion_for(lesson["kind"], lesson["completion"])
        except InvalidInputError as error:
            yield {"pointer": f"{pointer}/completion/rule", "message": error.detail}


def _module(loaded: Mapping[str, Any]) -> ArchivedModule:
    lessons = [_lesson(one) for one in loaded["lessons"]]
    return ArchivedModule(**{**loaded, "lessons": lessons})


def _lesson(loaded: Mapping[str, Any]) -> ArchivedLesson:
    values = dict(loaded)
    lineage_id, media = values.pop("lineage_id"), values.pop("media")
    values["completion"] = policy.completion_for(values["kind"], values["completion"])
    return ArchivedLesson(lineage_id, values, [ArchivedMedia(**file) for file in media])


def _wrong(name: str, errors: Sequence[dict[str, str]]) -> InvalidArchiveError:
    return InvalidArchiveError(
        f"{name} does not have the expected form; see errors.",
        errors=list(errors[:MAX_ERRORS]),
        entry=name,
    )


def _other_entries() -> InvalidArchiveError:
    return InvalidArchiveError(
        f"An archive of a version holds {MANIFEST} and {CONTENT}, each once, and nothing else."
    )
