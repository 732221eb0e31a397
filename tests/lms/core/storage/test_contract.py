"""What every store promises, run against each of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lms.core.storage.base import (
    InvalidKey,
    ObjectNotFound,
    Storage,
    StorageError,
    UploadedPart,
    UploadIncomplete,
    UploadPart,
)
from lms.core.storage.parts import MIN_PART_SIZE

if TYPE_CHECKING:
    from conftest import Store

BASE_URL = "http://acme.localhost:8000/api"
KEY = "o/018f-acme/018f-file/original"
HOUR = timedelta(hours=1)

TWO_PARTS = random.Random(1).randbytes(MIN_PART_SIZE + 3)


def slices(data: bytes, parts: list[UploadPart]) -> list[bytes]:
    return [data[part.offset : part.offset + part.size] for part in parts]


def begin(storage: Storage, size: int, key: str = KEY) -> tuple[str, list[UploadPart]]:
    upload_id = storage.begin_upload(key, size=size, content_type="video/mp4")
    parts = storage.upload_parts(key, upload_id, size=size, expires_in=HOUR, base_url=BASE_URL)
    return upload_id, parts


def upload(store: Store, data: bytes, key: str = KEY) -> str:
    """Send everything, complete nothing."""
    upload_id, parts = begin(store.storage, len(data), key)
    for part, piece in zip(parts, slices(data, parts), strict=True):
        store.client.send(part, piece)
    return upload_id


def test_an_upload_in_parts_becomes_the_object(store: Store) -> None:
    upload_id = upload(store, TWO_PARTS)

    stored = store.storage.complete_upload(KEY, upload_id, size=len(TWO_PARTS))

    assert store.storage.read(KEY) == TWO_PARTS
    assert (stored.key, stored.size, stored.content_type) == (KEY, len(TWO_PARTS), "video/mp4")
    assert stored == store.storage.stat(KEY)


def test_an_empty_file_can_be_uploaded(store: Store) -> None:
    upload_id = upload(store, b"")

    stored = store.storage.complete_upload(KEY, upload_id, size=0)

    assert (stored.size, stored.content_type) == (0, "video/mp4")
    assert store.storage.read(KEY) == b""


def test_an_object_is_not_there_before_its_upload_is_completed(store: Store) -> None:
    upload(store, b"bytes")

    with pytest.raises(ObjectNotFound):
        store.storage.stat(KEY)


def test_an_interrupted_upload_goes_on_where_it_stopped(store: Store) -> None:
    upload_id, parts = begin(store.storage, len(TWO_PARTS))
    pieces = slices(TWO_PARTS, parts)
    store.client.send(parts[1], pieces[1])
    assert store.storage.uploaded_parts(KEY, upload_id) == [UploadedPart(2, parts[1].size)]

    again = store.storage.upload_parts(
        KEY, upload_id, size=len(TWO_PARTS), expires_in=HOUR, base_url=BASE_URL
    )
    store.client.send(again[0], pieces[0])
    store.storage.complete_upload(KEY, upload_id, size=len(TWO_PARTS))

    assert store.storage.read(KEY) == TWO_PARTS


def test_an_upload_with_missing_parts_names_them_and_stays_open(store: Store) -> None:
    upload_id, parts = begin(store.storage, len(TWO_PARTS))
    store.client.send(parts[1], slices(TWO_PARTS, parts)[1])

    with pytest.raises(UploadIncomplete) as refused:
        store.storage.complete_upload(KEY, upload_id, size=len(TWO_PARTS))

    assert refused.value.missing == (1,)
    assert store.storage.uploaded_parts(KEY, upload_id) == [UploadedPart(2, parts[1].size)]


def test_a_part_that_is_sent_again_replaces_the_earlier_one(store: Store) -> None:
    upload_id, [part] = begin(store.storage, 5)
    store.client.send(part, b"wrong")
    store.client.send(part, b"right")

    store.storage.complete_upload(KEY, upload_id, size=5)

    assert store.storage.read(KEY) == b"right"


def test_completing_again_returns_the_object_again(store: Store) -> None:
    upload_id = upload(store, b"bytes")
    first = store.storage.complete_upload(KEY, upload_id, size=5)

    assert store.storage.complete_upload(KEY, upload_id, size=5) == first


def test_completing_again_with_another_size_is_refused(store: Store) -> None:
    upload_id = upload(store, b"bytes")
    store.storage.complete_upload(KEY, upload_id, size=5)

    with pytest.raises(StorageError, match="5 bytes, not 6"):
        store.storage.complete_upload(KEY, upload_id, size=6)


def test_a_completed_upload_has_no_parts_any_more(store: Store) -> None:
    upload_id = upload(store, b"bytes")
    store.storage.complete_upload(KEY, upload_id, size=5)

    with pytest.raises(ObjectNotFound):
        store.storage.uploaded_parts(KEY, upload_id)


def test_an_upload_belongs_to_the_key_that_it_was_begun_for(store: Store) -> None:
    upload_id = upload(store, b"bytes")

    with pytest.raises(ObjectNotFound):
        store.storage.complete_upload("o/018f-globex/018f-file/original", upload_id, size=5)


def test_an_aborted_upload_is_gone(store: Store) -> None:
    upload_id = upload(store, b"bytes")

    store.storage.abort_upload(KEY, upload_id)

    with pytest.raises(ObjectNotFound):
        store.storage.uploaded_parts(KEY, upload_id)
    with pytest.raises(ObjectNotFound):
        store.storage.complete_upload(KEY, upload_id, size=5)


def test_aborting_a_completed_upload_leaves_the_object(store: Store) -> None:
    upload_id = upload(store, b"bytes")
    store.storage.complete_upload(KEY, upload_id, size=5)

    store.storage.abort_upload(KEY, upload_id)

    assert store.storage.read(KEY) == b"bytes"


def test_a_written_object_is_described(store: Store) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    store.storage.write(KEY, b"<svg/>", content_type="image/svg+xml")

    stored = store.storage.stat(KEY)

    assert (stored.size, stored.content_type) == (6, "image/svg+xml")
    assert stored.modified.tzinfo is UTC
    assert before <= stored.modified <= datetime.now(UTC) + timedelta(seconds=2)


def test_writing_again_replaces_bytes_type_and_etag(store: Store) -> None:
    store.storage.write(KEY, b"old", content_type="text/plain")
    old = store.storage.stat(KEY)

    store.storage.write(KEY, b"new", content_type="text/vtt")

    new = store.storage.stat(KEY)
    assert store.storage.read(KEY) == b"new"
    assert new.content_type == "text/vtt"
    assert new.etag != old.etag


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, None, b"0123456789"),
        (3, None, b"3456789"),
        (3, 6, b"345"),
        (0, 1, b"0"),
        (8, 99, b"89"),
        (4, 4, b""),
        (10, None, b""),
        (99, None, b""),
    ],
)
def test_a_range_is_read_like_a_slice(
    store: Store, start: int, end: int | None, expected: bytes
) -> None:
    store.storage.write(KEY, b"0123456789", content_type="text/plain")

    assert store.storage.read(KEY, start, end) == expected


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4)])
def test_a_range_that_is_none_is_refused(store: Store, start: int, end: int) -> None:
    store.storage.write(KEY, b"0123456789", content_type="text/plain")

    with pytest.raises(ValueError, match="range"):
        store.storage.read(KEY, start, end)


def test_a_large_object_comes_in_chunks(store: Store) -> None:
    store.storage.write(KEY, TWO_PARTS, content_type="video/mp4")

    chunks = list(store.storage.open_chunks(KEY, 1, len(TWO_PARTS) - 1))

    assert b"".join(chunks) == TWO_PARTS[1:-1]
    assert max(map(len, chunks)) <= 1024 * 1024


def test_files_go_in_and_out(store: Store, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(TWO_PARTS)
    target.write_bytes(b"what was there before")

    stored = store.storage.upload_file(source, KEY, content_type="video/mp4")
    store.storage.download(KEY, target)

    assert (stored.size, stored.content_type) == (len(TWO_PARTS), "video/mp4")
    assert target.read_bytes() == TWO_PARTS


def test_an_absent_object_is_not_found(store: Store, tmp_path: Path) -> None:
    storage = store.storage
    for ask in (
        lambda: storage.stat(KEY),
        lambda: storage.read(KEY),
        lambda: storage.read(KEY, 2, 2),
        lambda: storage.download(KEY, tmp_path / "target"),
    ):
        with pytest.raises(ObjectNotFound):
            ask()


def test_uploading_a_file_that_is_not_there_is_not_an_error_of_the_store(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        store.storage.upload_file(tmp_path / "absent", KEY, content_type="video/mp4")


def test_a_deleted_object_is_gone_and_can_be_deleted_again(store: Store) -> None:
    store.storage.write(KEY, b"bytes", content_type="text/plain")

    store.storage.delete(KEY)
    store.storage.delete(KEY)

    with pytest.raises(ObjectNotFound):
        store.storage.stat(KEY)


def test_the_objects_of_a_prefix_are_listed_folder_by_folder(store: Store) -> None:
    keys = ["o/1/a/original", "o/1/a/out/360.mp4", "o/1/b/original", "o/1/c"]
    before = datetime.now(UTC) - timedelta(seconds=2)
    for key in [*keys, "o/10/a/original", "o/2/o/1/file"]:
        store.storage.write(key, key.encode(), content_type="text/plain")

    found = list(store.storage.list_objects("o/1/"))

    assert sorted((one.key, one.size) for one in found) == [(key, len(key)) for key in keys]
    folders = [one.key.split("/")[2] for one in found]
    assert len(list(groupby(folders))) == 3
    assert all(before <= one.modified <= datetime.now(UTC) for one in found)


def test_the_unfinished_uploads_of_a_prefix_are_listed(store: Store) -> None:
    mine = upload(store, b"bytes", "o/1/file/original")
    upload(store, b"bytes", "o/10/file/original")
    done = upload(store, b"bytes", "o/1/done/original")
    store.storage.complete_upload("o/1/done/original", done, size=5)

    (found,) = store.storage.list_uploads("o/1/")

    assert (found.key, found.upload_id) == ("o/1/file/original", mine)
    assert found.begun <= datetime.now(UTC)  # the stand-in for S3 has a date of its own


def test_where_nothing_is_nothing_is_listed(store: Store) -> None:
    assert list(store.storage.list_objects("o/none/")) == []
    assert list(store.storage.list_uploads("o/none/")) == []


def test_deleting_one_organizations_prefix_leaves_every_other(store: Store) -> None:
    mine = ["o/1/file/original", "o/1/file/attempt-2/360.mp4", "o/1/other"]
    others = ["o/10/file/original", "o/12", "o/2/o/1/file"]
    for key in mine + others:
        store.storage.write(key, key.encode(), content_type="text/plain")

    store.storage.delete_prefix("o/1/")

    for key in mine:
        with pytest.raises(ObjectNotFound):
            store.storage.stat(key)
    assert [store.storage.read(key).decode() for key in others] == others


def test_deleting_a_prefix_ends_its_unfinished_uploads_only(store: Store) -> None:
    mine = upload(store, b"bytes", "o/1/file/original")
    other = upload(store, b"bytes", "o/10/file/original")

    store.storage.delete_prefix("o/1/")

    with pytest.raises(ObjectNotFound):
        store.storage.uploaded_parts("o/1/file/original", mine)
    assert store.storage.uploaded_parts("o/10/file/original", other) == [UploadedPart(1, 5)]


def test_deleting_a_prefix_with_nothing_below_changes_nothing(store: Store) -> None:
    store.storage.write("o/1", b"bytes", content_type="text/plain")

    store.storage.delete_prefix("o/1/")
    store.storage.delete_prefix("o/1/2/")
    store.storage.delete_prefix("x/")

    assert store.storage.read("o/1") == b"bytes"


@pytest.mark.parametrize("prefix", ["", "/", "o/1", "o/../", "../", "o//"])
def test_a_prefix_that_does_not_end_at_a_folder_of_ours_is_refused(
    store: Store, prefix: str
) -> None:
    with pytest.raises(InvalidKey):
        store.storage.delete_prefix(prefix)
    with pytest.raises(InvalidKey):
        list(store.storage.list_objects(prefix))
    with pytest.raises(InvalidKey):
        list(store.storage.list_uploads(prefix))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "..",
        "../escape",
        "o/../../escape",
        "o/./file",
        "o//file",
        "o/file/",
        "o/fi le",
        "o/file\n",
        "o/file\0",
        "o\\file",
        "o/%2e%2e/file",
        "o/fïle",
        "o/" + "x" * 256,
        "o/" + "x/" * 512 + "x",
    ],
)
def test_a_key_that_we_would_not_make_is_refused_by_every_method(
    store: Store, tmp_path: Path, key: str
) -> None:
    storage = store.storage
    source = tmp_path / "source"
    source.write_bytes(b"bytes")
    for ask in (
        lambda: storage.begin_upload(key, size=1, content_type="a/b"),
        lambda: storage.upload_parts(key, "0" * 32, size=1, expires_in=HOUR, base_url=BASE_URL),
        lambda: storage.uploaded_parts(key, "0" * 32),
        lambda: storage.complete_upload(key, "0" * 32, size=1),
        lambda: storage.abort_upload(key, "0" * 32),
        lambda: storage.stat(key),
        lambda: storage.read(key),
        lambda: storage.download(key, tmp_path / "target"),
        lambda: storage.upload_file(source, key, content_type="a/b"),
        lambda: storage.write(key, b"bytes", content_type="a/b"),
        lambda: storage.delete(key),
        lambda: storage.signed_url(key, expires_in=HOUR, base_url=BASE_URL),
    ):
        with pytest.raises(InvalidKey):
            ask()


def test_a_signed_address_reads_the_object_with_its_type(store: Store) -> None:
    store.storage.write(KEY, b"bytes", content_type="video/mp4")

    url = store.storage.signed_url(KEY, expires_in=HOUR, base_url=BASE_URL)

    fetched = store.client.fetch(url)
    assert (fetched.body, fetched.content_type, fetched.disposition) == (
        b"bytes",
        "video/mp4",
        None,
    )


def test_a_signed_address_can_name_another_type(store: Store) -> None:
    store.storage.write(KEY, b"bytes", content_type="image/svg+xml")

    url = store.storage.signed_url(
        KEY, expires_in=HOUR, base_url=BASE_URL, content_type="application/octet-stream"
    )

    assert store.client.fetch(url).content_type == "application/octet-stream"


def test_a_signed_address_can_make_a_download(store: Store) -> None:
    store.storage.write(KEY, b"bytes", content_type="application/pdf")

    url = store.storage.signed_url(
        KEY, expires_in=HOUR, base_url=BASE_URL, download_name="Week 1.pdf"
    )

    assert "Week 1.pdf" in (store.client.fetch(url).disposition or "")


@pytest.mark.parametrize(
    "life", [timedelta(0), timedelta(seconds=-1), timedelta(days=7, seconds=1)]
)
def test_an_address_lives_between_a_moment_and_a_week(store: Store, life: timedelta) -> None:
    with pytest.raises(ValueError, match="7 days"):
        store.storage.signed_url(KEY, expires_in=life, base_url=BASE_URL)
    with pytest.raises(ValueError, match="7 days"):
        store.storage.upload_parts(KEY, "0" * 32, size=1, expires_in=life, base_url=BASE_URL)


def test_a_store_that_works_is_ready(store: Store) -> None:
    store.storage.check()
