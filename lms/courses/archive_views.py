"""Archives of course versions over HTTP: written to be downloaded, read to become drafts."""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import IO
from uuid import UUID

from flask import Response

from lms.core.storage.disposition import content_disposition
from lms.courses import queries
from lms.courses.archives.format import MAX_ARCHIVE_BYTES, MEDIA_TYPE
from lms.courses.archives.queries import exported_version
from lms.courses.archives.reading import read_archive
from lms.courses.archives.schemas import IMPORT_EXAMPLE, ImportedVersionOut
from lms.courses.archives.writing import write_archive
from lms.courses.operations import importing as operations
from lms.courses.operations.importing import ImportedVersion
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.bodies import UnsupportedMediaError, read_body
from lms.http.call import Call

BYTES_IN_MEMORY = 1024 * 1024
"""Of an archive that is written; a longer one goes to a temporary file."""

BYTES_AT_ONCE = 64 * 1024
"""Of an archive that is sent."""

blp = TenantBlueprint(
    "Version archives",
    __name__,
    description="A version's content as one file: to keep, to edit elsewhere, and to bring into"
    " another course or another academy.",
)


@blp.operation(
    "GET",
    "/course-versions/<uuid:version_id>/export",
    id="exportCourseVersion",
    roles=STAFF,
    content_type=MEDIA_TYPE,
)
def export_version(call: Call, version_id: UUID) -> Response:
    """Download a version, in any state, as an archive.

    For those who teach its course and for admins. A ZIP of two JSON files. `manifest.json`:
    `format`, `format_version`, the course and version that it was made of, and `content_hash`,
    which is the same wherever the content is the same. `version.json`: modules and lessons in their
    order, with all that can be set of them, their `lineage_id`, and their media: file name, kind,
    content type, size, SHA-256 and `asset_id`. The bytes of media are not in it. The same version
    gives the same bytes. Prices, dates and learners belong to runs, so they are not in it either.

    An archive beyond what `importCourseVersion` takes (8 MiB; 32 MiB or 100,000 values of content;
    100 files of one lesson) is for keeping only: it is written whole, and cannot be imported as it
    is.
    """
    # What it holds goes with the answer; who reads that slowly holds up no connection.
    file = SpooledTemporaryFile(max_size=BYTES_IN_MEMORY)  # noqa: SIM115 - closed by the answer
    try:
        with exported_version(call.session, call.actor, version_id) as exported:
            write_archive(file, exported)
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    response = Response(_pieces(file), content_type=MEDIA_TYPE)
    response.content_length = size
    response.call_on_close(file.close)
    name = f"{exported.course.title} - version {exported.version.number}.zip"
    response.headers["Content-Disposition"] = content_disposition(name)
    response.headers["Cache-Control"] = "private, no-store"
    return response


@blp.operation(
    "POST",
    "/courses/<uuid:course_id>/versions/import",
    id="importCourseVersion",
    raw_body=MEDIA_TYPE,
    returns=ImportedVersionOut,
    status=201,
    roles=STAFF,
    transaction="steps",
    etag=True,
    refusals=(409, 413, 415),
    example=IMPORT_EXAMPLE,
)
def import_version(call: Call, course_id: UUID) -> ImportedVersion:
    """Make the course's next draft of an archive that `exportCourseVersion` made.

    For those who teach the course and for admins. A module or lesson keeps its lineage when a
    version of this course has it, so that comparing versions and upgrading runs work on; else it
    begins a new one. A file whose bytes the academy has (SHA-256 and size are those of a completed
    upload) is shared, so nothing is uploaded or transcoded again; one without a SHA-256 is known by
    its `asset_id` to admins, to whoever uploaded it, and to those who teach a course with it. The
    others are listed in `missing_media`: add them to their lessons. `content_hash` is not compared,
    so an archive may be edited; modules and lessons that are added need no `lineage_id`.

    413 for more than 8 MiB, and `archive_too_large` for more than 32 MiB or 100,000 values of
    content. 422 `archive_format_unsupported` for another format or a newer `format_version`; 422
    `invalid_archive` when the ZIP does not hold exactly these two files, or what they say is wrong,
    or a lesson has more than 100 files: `entry` names the file, and `errors` point into it. 409
    `draft_exists` with its `draft_version_id`, `version_full` for more modules or lessons than a
    version may have.
    """
    with call.transaction() as session:
        queries.taught_course(session, call.actor, course_id)
    if call.request.mimetype != MEDIA_TYPE:
        raise UnsupportedMediaError(f"Send the body as {MEDIA_TYPE}.")
    # Read and judged between two transactions: neither a slow client nor a large archive holds one.
    call.request.max_content_length = MAX_ARCHIVE_BYTES
    archive = read_archive(read_body(call.request))
    with call.transaction() as session:
        return operations.import_version(session, call.actor, course_id, archive)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(BYTES_AT_ONCE):
            yield piece
