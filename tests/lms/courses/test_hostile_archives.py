"""Archives that are broken, or made to hurt: each is refused, and says what is wrong where."""

from __future__ import annotations

import json
import struct
import tracemalloc
from collections.abc import Callable
from io import BytesIO
from typing import Any
from uuid import UUID
from zipfile import ZIP_BZIP2, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from lms.core.errors import DomainError
from lms.core.ids import new_id
from lms.courses.archives.format import MAX_ARCHIVE_BYTES, MAX_ENTRY_BYTES, MAX_MEDIA, MAX_VALUES
from lms.courses.archives.reading import MAX_ERRORS, read_archive
from lms.courses.errors import (
    ArchiveFormatError,
    ArchiveTooLargeError,
    InvalidArchiveError,
    VersionFullError,
)
from lms.courses.models import CourseVersion
from tenants.session import Database, OrganizationScope
from tests.factories.archives import MANIFEST, lesson, media, module, packed, zipped
from tests.lms.courses.conftest import Api

CONTENT: dict[str, Any] = {"modules": [module(lesson())]}
GOOD = packed(CONTENT)
LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def refused(archive: bytes, error: type[DomainError] = InvalidArchiveError) -> DomainError:
    with pytest.raises(error) as caught:
        read_archive(archive)
    assert type(caught.value) is error
    return caught.value


def pointers(archive: bytes) -> list[str]:
    return [one["pointer"] for one in refused(archive).errors or ()]


def patched(archive: bytes, at: bytes, offset: int, value: bytes) -> bytes:
    """Return an archive with a field overwritten in every record of one kind."""
    changed, place = bytearray(archive), archive.find(at)
    while place >= 0:
        changed[place + offset : place + offset + len(value)] = value
        place = archive.find(at, place + 1)
    return bytes(changed)


def with_entries(*names: str) -> bytes:
    sink = BytesIO()
    with ZipFile(sink, "w") as archive:
        for name in names:
            archive.writestr(name, json.dumps(MANIFEST if "manifest" in name else CONTENT))
    return sink.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        *(
            b"",
            b"PK",
            b"{}",
            b"\x00" * 100,
            END + b"\x00" * 18,
            GOOD[:-1],
            GOOD[1:],
            GOOD + b"\x00",
        ),
        *(GOOD[: len(GOOD) // 2], GOOD * 2, b"\x1f\x8b" + GOOD),
        patched(GOOD, END, 12, struct.pack("<L", 0)),
        patched(GOOD, END, 16, struct.pack("<L", 2**32 - 1)),
        patched(GOOD, LOCAL, 0, b"PK\x07\x08"),
        patched(GOOD, CENTRAL, 8, struct.pack("<H", 1)),
        patched(GOOD, CENTRAL, 6, struct.pack("<H", 99)),
        patched(GOOD, CENTRAL, 16, struct.pack("<L", 0)),
        patched(GOOD, CENTRAL, 24, struct.pack("<L", 1)),
        patched(GOOD, CENTRAL, 42, struct.pack("<L", 2**31)),
    ],
    ids=[
        *("nothing", "two bytes", "JSON", "zeros", "an empty ZIP", "without its end"),
        *("without its beginning", "something behind", "half", "two in a row", "gzip's mark"),
        *("no directory", "a directory beyond the end", "no local headers", "encrypted"),
        *("of a later ZIP", "wrong checksums", "too short by its own word", "files far away"),
    ],
)
def test_what_is_no_whole_zip_is_refused(archive: bytes) -> None:
    refused(archive)


def test_an_archive_may_be_packed_by_another_program() -> None:
    stored = zipped({"version.json": CONTENT, "manifest.json": MANIFEST}, compression=ZIP_STORED)

    assert read_archive(stored) == read_archive(GOOD)


@pytest.mark.parametrize(
    "names",
    [
        ("manifest.json",),
        ("version.json",),
        ("manifest.json", "version.json", "notes.txt"),
        ("manifest.json", "version.json", "../../etc/passwd"),
        ("manifest.json", "version.json", "/version.json"),
        ("manifest.json", "version.json", "media/"),
        ("manifest.json", "../version.json"),
        ("manifest.json", "./version.json"),
        ("course/manifest.json", "course/version.json"),
        ("manifest.json", "VERSION.JSON"),
        ("manifest.json", "version.json", *(f"{number}.json" for number in range(500))),
    ],
)
def test_an_archive_has_its_two_files_and_nothing_else(names: tuple[str, ...]) -> None:
    assert "each once, and nothing else" in refused(with_entries(*names)).detail


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused() -> None:
    refused(with_entries("manifest.json", "version.json", "version.json"))


def test_a_long_list_of_entries_is_refused_before_it_is_read() -> None:
    archive = with_entries(*(str(number) for number in range(20_000)))
    tracemalloc.start()
    try:
        refused(archive)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_directory_that_is_said_elsewhere_is_refused() -> None:
    locator = b"PK\x06\x07" + b"\x00" * 16

    refused(GOOD[:-22] + locator + GOOD[-22:])


@pytest.mark.parametrize("compression", [ZIP_BZIP2, ZIP_LZMA])
def test_other_compressions_are_refused(compression: int) -> None:
    archive = zipped({"manifest.json": MANIFEST, "version.json": CONTENT}, compression=compression)

    assert "stored or deflated" in refused(archive).detail


@pytest.mark.parametrize("name", ["manifest.json", "version.json"])
def test_a_file_that_unpacks_to_more_than_is_taken_is_refused(name: str) -> None:
    limit = MAX_ENTRY_BYTES[name]
    bomb = zipped({"manifest.json": MANIFEST, "version.json": CONTENT, name: b" " * (limit + 1)})
    assert len(bomb) < limit / 100

    error = refused(bomb, ArchiveTooLargeError)

    assert error.params == {"remedy": error.remedy, "entry": name, "limit_bytes": limit}


def test_a_bomb_that_says_it_is_small_is_not_unpacked() -> None:
    bomb = zipped({"manifest.json": MANIFEST, "version.json": b" " * 64 * 1024 * 1024})
    for at, offset in ((LOCAL, 22), (CENTRAL, 24)):
        bomb = patched(bomb, at, offset, struct.pack("<L", 100))
    tracemalloc.start()
    try:
        refused(bomb)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("crowd", [b"[]", b"{}", b"1", b'"ab"'])
def test_a_crowd_of_values_is_refused_before_they_are_made(crowd: bytes) -> None:
    content = b'{"modules": [' + b",".join([crowd] * (MAX_VALUES + 1)) + b"]}"

    error = refused(
        zipped({"manifest.json": MANIFEST, "version.json": content}), ArchiveTooLargeError
    )

    assert error.params == {
        "remedy": error.remedy,
        "entry": "version.json",
        "limit_values": MAX_VALUES,
    }


@pytest.mark.parametrize(
    ("piece", "error"),
    [
        *((b'"', ArchiveTooLargeError), (b'"a"', ArchiveTooLargeError)),
        *((b"[]", ArchiveTooLargeError), (b'{"":""},', ArchiveTooLargeError)),
        *((b"]", InvalidArchiveError), (b"}", InvalidArchiveError)),
    ],
)
def test_content_of_nothing_but_marks_is_refused_in_a_few_times_its_memory(
    piece: bytes, error: type[DomainError]
) -> None:
    limit = MAX_ENTRY_BYTES["version.json"]
    content = piece * (limit // len(piece))
    archive = zipped({"manifest.json": MANIFEST, "version.json": content})
    tracemalloc.start()
    try:
        refused(archive, error)
        assert tracemalloc.get_traced_memory()[1] < 5 * limit
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mark", [b"]", b"}"])
def test_what_closes_more_than_it_opened_is_not_read_to_its_end(mark: bytes) -> None:
    content = b"[" + mark * (MAX_ENTRY_BYTES["version.json"] - 1)

    error = refused(zipped({"manifest.json": MANIFEST, "version.json": content}))

    assert "more is closed than was opened" in error.detail


def test_as_many_texts_as_there_may_be_values_with_names_are_read() -> None:
    members = ",".join(f'"{number}":""' for number in range(MAX_VALUES))
    content = f"{{{members}}}".encode()

    assert len(pointers(zipped({"manifest.json": MANIFEST, "version.json": content}))) == MAX_ERRORS


def test_the_answer_repeats_no_more_than_the_beginning_of_a_long_name() -> None:
    pointer = pointers(packed({"modules": [], "\N{GRINNING FACE}" * 1_000_000: 1}))[0]

    assert pointer == "/" + "\N{GRINNING FACE}" * 200 + "\N{HORIZONTAL ELLIPSIS}"


def test_commas_in_texts_are_no_values() -> None:
    text = "," * MAX_VALUES

    archive = read_archive(packed({"modules": [module(lesson(content=text))]}))

    assert archive.modules[0].lessons[0].values["content"] == text


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"{", b"nonsense", b"\xff", b'{"modules": NaN}', b'{"modules": [], "modules": []}'),
        *(b'{"a\\u0000": 1}', b'{"modules": "\\ud800"}', b"9" * 5000, b"[" * 40 + b"]" * 40),
        *('{"modules": []}'.encode("utf-16"), b'\xef\xbb\xbf{"modules": []}', b'"\\', b'"' * 9999),
    ],
)
@pytest.mark.parametrize("name", ["manifest.json", "version.json"])
def test_json_that_no_store_can_hold_is_refused(name: str, raw: bytes) -> None:
    archive = zipped({"manifest.json": MANIFEST, "version.json": CONTENT, name: raw})

    assert refused(archive).params["entry"] == name


@pytest.mark.parametrize(
    "manifest",
    [
        {**MANIFEST, "format": "scorm"},
        {**MANIFEST, "format": None},
        {**MANIFEST, "format_version": 2},
        {**MANIFEST, "format_version": 2, "members": "of the future"},
        {},
    ],
)
def test_another_format_is_told_from_a_broken_archive(manifest: dict[str, Any]) -> None:
    error = refused(packed(CONTENT, manifest), ArchiveFormatError)

    assert error.params == {"remedy": error.remedy, "format": "course-version", "format_version": 1}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"format_version": 0}, "/format_version"),
        ({"format_version": "1"}, "/format_version"),
        ({"content_hash": "x"}, "/content_hash"),
        ({"version": {**MANIFEST["version"], "id": "x"}}, "/version/id"),
        ({"version": {**MANIFEST["version"], "label": "x" * 201}}, "/version/label"),
        ({"course": None}, "/course"),
        ({"secret": 1}, "/secret"),
    ],
)
def test_what_a_manifest_must_not_say_is_pointed_at(changes: dict[str, Any], pointer: str) -> None:
    archive = packed(CONTENT, {**MANIFEST, **changes})

    assert pointers(archive) == [pointer]
    assert refused(archive).params["entry"] == "manifest.json"


TWICE = str(new_id())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([], [""]),
        ("text", [""]),
        ({}, ["/modules"]),
        ({"modules": None}, ["/modules"]),
        ({"modules": {}}, ["/modules"]),
        ({"modules": [1]}, ["/modules/0"]),
        ({"modules": [{"title": "x"}]}, ["/modules/0/lessons"]),
        ({"modules": [module(), module(lessons={})]}, ["/modules/1/lessons"]),
        ({"modules": [module(title=" ")]}, ["/modules/0/title"]),
        ({"modules": [module(sequential=1)]}, ["/modules/0/sequential"]),
        ({"modules": [module(lineage_id="x")]}, ["/modules/0/lineage_id"]),
        ({"modules": [module(lesson(kind="quiz"))]}, ["/modules/0/lessons/0/kind"]),
        ({"modules": [module(lesson(weight=0))]}, ["/modules/0/lessons/0/weight"]),
        ({"modules": [module(lesson(weight=[[]]))]}, ["/modules/0/lessons/0/weight"]),
        ({"modules": [module(lesson(title="a\u202eb"))]}, ["/modules/0/lessons/0/title"]),
        ({"modules": [module(lesson(content="x" * 100_001))]}, ["/modules/0/lessons/0/content"]),
        ({"modules": [module(lesson(id=str(new_id())))]}, ["/modules/0/lessons/0/id"]),
        (
            {"modules": [module(lesson(completion={"rule": "watched", "percent": 90}))]},
            ["/modules/0/lessons/0/completion/rule"],
        ),
        (
            {"modules": [module(lesson(completion={"rule": "dwell"}))]},
            ["/modules/0/lessons/0/completion/seconds"],
        ),
        (
            {"modules": [module(lesson(), lesson(media=[media("a"), media("b", size=-1)]))]},
            ["/modules/0/lessons/1/media/1/size"],
        ),
        (
            {"modules": [module(lesson(media=[media("a")] * (MAX_MEDIA + 1)))]},
            ["/modules/0/lessons/0/media"],
        ),
        (
            {"modules": [module(lesson(media=[media("a", sha256="0")]))]},
            [*["/modules/0/lessons/0/media/0/sha256"] * 2],
        ),
        (
            {"modules": [module(lesson(lineage_id=TWICE)), module(lesson(lineage_id=TWICE))]},
            ["/modules/1/lessons/0/lineage_id"],
        ),
        (
            {"modules": [module(lineage_id=TWICE), module(lineage_id=TWICE.upper())]},
            ["/modules/1/lineage_id"],
        ),
    ],
)
def test_what_content_must_not_say_is_pointed_at(content: Any, expected: list[str]) -> None:
    archive = packed(content)

    assert pointers(archive) == expected
    assert refused(archive).params["entry"] == "version.json"


def test_the_answer_to_many_mistakes_has_an_end() -> None:
    content = {"modules": [module(*({"kind": "x"} for _ in range(1000)))]}

    assert len(pointers(packed(content))) == MAX_ERRORS


@pytest.mark.parametrize(
    ("modules", "limit"),
    [
        ([module()] * 201, 200),
        ([module(*[lesson()] * 501)] * 2, 1000),
        ([module(*[{}] * 501)] * 2, 1000),
    ],
)
def test_more_than_a_version_may_have_is_refused(modules: list[Any], limit: int) -> None:
    error = refused(packed({"modules": modules}), VersionFullError)

    assert error.params["limit"] == limit


def test_as_many_files_as_a_lesson_may_have_are_taken() -> None:
    archive = read_archive(packed({"modules": [module(lesson(media=[media("a")] * MAX_MEDIA))]}))

    assert len(archive.modules[0].lessons[0].media) == MAX_MEDIA


def test_as_much_as_a_version_may_have_is_taken() -> None:
    archive = read_archive(packed({"modules": [module(*[lesson()] * 5)] * 200}))

    assert sum(len(one.lessons) for one in archive.modules) == 1000


@settings(deadline=None)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8
    )
)
def test_whatever_bytes_are_changed_it_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    archive = bytearray(GOOD)
    for place, value in changes:
        archive[place] = value
    try:
        read_archive(bytes(archive))
    except DomainError:
        return


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**40) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["modules", "lessons", "media", "title", "kind", "completion"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@settings(deadline=None)
@given(content=values, manifest=st.just(MANIFEST) | values)
def test_whatever_the_documents_say_it_is_read_or_refused(content: Any, manifest: Any) -> None:
    try:
        read_archive(packed(content, manifest))
    except DomainError:
        return


@pytest.fixture
def course(instructor: Api) -> str:
    return instructor.post("/courses", {"title": "Filter from Bean to Cup"}).json["id"]


@pytest.mark.parametrize(
    ("make", "status", "code"),
    [
        (lambda: b"", 422, "invalid_archive"),
        (lambda: packed({}), 422, "invalid_archive"),
        (lambda: packed(CONTENT, {}), 422, "archive_format_unsupported"),
        (lambda: packed({"modules": [module()] * 201}), 409, "version_full"),
        (
            lambda: zipped({"manifest.json": b" " * 70_000, "version.json": CONTENT}),
            413,
            "archive_too_large",
        ),
        (lambda: b"x" * (MAX_ARCHIVE_BYTES + 1), 413, "content_too_large"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    instructor: Api,
    database: Database,
    acme: UUID,
    course: str,
    make: Callable[[], bytes],
    status: int,
    code: str,
) -> None:
    answer = instructor.upload(f"/courses/{course}/versions/import", make())

    assert (answer.status_code, answer.json["code"]) == (status, code)
    with database.transaction(OrganizationScope(acme)) as session:
        made = select(func.count()).where(CourseVersion.course_id == UUID(course))
        assert session.scalar(made) == 0


def test_the_problem_names_the_file_and_points_into_it(instructor: Api, course: str) -> None:
    content = {"modules": [module(lesson(weight=0))]}

    answer = instructor.upload(f"/courses/{course}/versions/import", packed(content))

    assert answer.json["entry"] == "version.json"
    assert [one["pointer"] for one in answer.json["errors"]] == ["/modules/0/lessons/0/weight"]


def test_archives_come_as_zip(instructor: Api, course: str) -> None:
    answer = instructor.upload(f"/courses/{course}/versions/import", GOOD, "application/json")

    assert (answer.status_code, answer.json["code"]) == (415, "unsupported_media_type")


def test_an_archive_may_be_larger_than_other_bodies(instructor: Api, course: str) -> None:
    text = {"modules": [module(*(lesson(content="x" * 90_000) for _ in range(20)))]}
    archive = zipped({"manifest.json": MANIFEST, "version.json": text}, compression=ZIP_STORED)
    assert len(archive) > 1024 * 1024

    assert instructor.upload(f"/courses/{course}/versions/import", archive).status_code == 201
