"""What only the store on a local disk promises: its tokens, its disk, its doors."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from lms.core.storage.base import (
    InvalidKey,
    InvalidSignature,
    ObjectNotFound,
    PartSizeMismatch,
    StorageUnavailable,
)
from lms.core.storage.claims import PartClaim
from lms.core.storage.files import TemporaryFolder
from lms.core.storage.local import LocalStorage
from lms.core.storage.parts import MIN_PART_SIZE
from lms.core.storage.uploads import PendingUploads

BASE_URL = "https://acme.example.com/api/"
KEY = "o/1/file/original"
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def read_token(local: LocalStorage, expires_in: timedelta = HOUR) -> str:
    return local.signed_url(KEY, expires_in=expires_in, base_url=BASE_URL).rpartition("/")[2]


def part_token(local: LocalStorage, upload_id: str, size: int = 5) -> str:
    [part] = local.upload_parts(KEY, upload_id, size=size, expires_in=HOUR, base_url=BASE_URL)
    return part.url.rpartition("/")[2]


def begin(local: LocalStorage, size: int = 5) -> tuple[str, PartClaim]:
    upload_id = local.begin_upload(KEY, size=size, content_type="video/mp4")
    return upload_id, local.verify(part_token(local, upload_id, size), method="PUT", now=now())


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_address_lies_below_the_api_that_serves_it(local: LocalStorage) -> None:
    url = local.signed_url(KEY, expires_in=HOUR, base_url=BASE_URL)

    assert url.startswith("https://acme.example.com/api/files/")


def test_a_token_says_what_it_was_signed_for(local: LocalStorage) -> None:
    url = local.signed_url(
        KEY, expires_in=HOUR, base_url=BASE_URL, content_type="text/vtt", download_name="Übung.vtt"
    )

    claim = local.verify(url.rpartition("/")[2], method="GET", now=now())

    assert (claim.key, claim.content_type, claim.download_name) == (KEY, "text/vtt", "Übung.vtt")


def test_a_token_for_get_lets_head_in(local: LocalStorage) -> None:
    assert local.verify(read_token(local), method="HEAD", now=now()).key == KEY


def test_a_token_expires(local: LocalStorage) -> None:
    token = read_token(local, timedelta(seconds=60))

    local.verify(token, method="GET", now=now() + timedelta(seconds=50))
    with pytest.raises(InvalidSignature, match="expired"):
        local.verify(token, method="GET", now=now() + timedelta(seconds=61))


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE", ""])
def test_a_token_for_reading_is_for_nothing_else(local: LocalStorage, method: str) -> None:
    with pytest.raises(InvalidSignature):
        local.verify(read_token(local), method=method, now=now())


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_token_for_a_part_is_for_nothing_else(local: LocalStorage, method: str) -> None:
    with pytest.raises(InvalidSignature):
        local.verify(part_token(local, "0" * 32), method=method, now=now())


def test_a_token_with_any_character_changed_is_refused(local: LocalStorage) -> None:
    token = read_token(local)
    for place, character in enumerate(token[:-1]):
        other = "A" if character != "A" else "B"
        with pytest.raises(InvalidSignature):
            local.verify(token[:place] + other + token[place + 1 :], method="GET", now=now())


@pytest.mark.parametrize(
    "token", ["", ".", "a", "a.b", "\0", "ü.ü", "\udcff.a", "e30.e30", "." * 999]
)
def test_a_token_that_is_none_is_refused(local: LocalStorage, token: str) -> None:
    with pytest.raises(InvalidSignature):
        local.verify(token, method="GET", now=now())


def test_a_token_of_another_installation_is_refused(local: LocalStorage, tmp_path: Path) -> None:
    other = LocalStorage(tmp_path / "other", b"another secret")

    with pytest.raises(InvalidSignature):
        local.verify(read_token(other), method="GET", now=now())


@pytest.mark.parametrize(
    ("body", "content_length"),
    [(b"long!!", 6), (b"long!!", 5), (b"long!!", None), (b"tiny", 4), (b"tiny", 5), (b"", None)],
)
def test_a_part_of_another_size_than_signed_is_refused_and_not_kept(
    local: LocalStorage, tmp_path: Path, body: bytes, content_length: int | None
) -> None:
    upload_id, claim = begin(local)
    before = files_below(tmp_path)

    with pytest.raises(PartSizeMismatch):
        local.receive_part(claim, io.BytesIO(body), content_length)

    assert local.uploaded_parts(KEY, upload_id) == []
    assert files_below(tmp_path) == before


def test_a_part_that_announces_another_size_is_refused_before_it_is_read(
    local: LocalStorage,
) -> None:
    _, claim = begin(local)
    body = io.BytesIO(b"long!!")

    with pytest.raises(PartSizeMismatch):
        local.receive_part(claim, body, 6)

    assert body.tell() == 0


def test_a_part_whose_length_was_not_announced_is_taken(local: LocalStorage) -> None:
    upload_id, claim = begin(local)

    local.receive_part(claim, io.BytesIO(b"bytes"), None)

    assert local.complete_upload(KEY, upload_id, size=5).size == 5


def test_a_part_for_an_aborted_upload_is_refused(local: LocalStorage, tmp_path: Path) -> None:
    upload_id, claim = begin(local)
    local.abort_upload(KEY, upload_id)

    with pytest.raises(ObjectNotFound):
        local.receive_part(claim, io.BytesIO(b"bytes"), 5)

    assert files_below(tmp_path) == []


def test_a_broken_connection_leaves_nothing_of_the_part(
    local: LocalStorage, tmp_path: Path
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if chunk := super().read(size):
                return chunk
            raise ConnectionResetError

    upload_id, claim = begin(local)
    before = files_below(tmp_path)

    with pytest.raises(StorageUnavailable):
        local.receive_part(claim, Broken(b"byte"), 5)

    assert local.uploaded_parts(KEY, upload_id) == []
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("upload_id", ["../objects", "0" * 31, "", "/etc", "G" * 32])
def test_an_upload_id_that_we_would_not_make_is_unknown(
    local: LocalStorage, upload_id: str
) -> None:
    with pytest.raises(ObjectNotFound):
        local.uploaded_parts(KEY, upload_id)


def test_an_upload_id_cannot_lead_to_an_object_that_looks_like_an_upload(
    local: LocalStorage,
) -> None:
    description = json.dumps({"key": KEY, "content_type": "text/html"}).encode()
    local.write("o/2/upload.json", description, content_type="application/json")

    with pytest.raises(ObjectNotFound):
        local.uploaded_parts(KEY, "../objects/o/2")


def test_a_request_that_completes_an_upload_waits_for_the_one_before_it(tmp_path: Path) -> None:
    uploads = PendingUploads(tmp_path / "uploads", TemporaryFolder(tmp_path / "temporary"))
    upload_id = uploads.begin(KEY, "video/mp4")
    uploads.receive(PartClaim(KEY, 0, upload_id, 1, 5), io.BytesIO(b"bytes"))
    first_writes, second_writes = threading.Event(), threading.Event()
    writers: list[io.BytesIO] = []

    @contextmanager
    def replacing(key: str, content_type: str) -> Iterator[BinaryIO]:
        del key, content_type
        writers.append(io.BytesIO())
        if first_writes.is_set():
            second_writes.set()
        first_writes.set()
        # Long enough for the other to come here too, if nothing kept it out.
        second_writes.wait(0.3)
        yield writers[-1]

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(uploads.join, KEY, upload_id, 5, replacing)
        assert first_writes.wait(10)
        second = pool.submit(uploads.join, KEY, upload_id, 5, replacing)
        first.result(10)
        with pytest.raises(ObjectNotFound):
            second.result(10)

    assert [writer.getvalue() for writer in writers] == [b"bytes"]


def test_requests_that_complete_one_upload_at_once_all_get_the_object(local: LocalStorage) -> None:
    size = MIN_PART_SIZE + 1
    upload_id = local.begin_upload(KEY, size=size, content_type="video/mp4")
    for part in local.upload_parts(KEY, upload_id, size=size, expires_in=HOUR, base_url=BASE_URL):
        claim = local.verify(part.url.rpartition("/")[2], method="PUT", now=now())
        local.receive_part(claim, io.BytesIO(b"x" * part.size), part.size)
    start = threading.Barrier(6)

    def complete(_: int) -> int:
        start.wait(10)
        return local.complete_upload(KEY, upload_id, size=size).size

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(complete, range(6))) == [size] * 6


def test_nothing_of_a_completed_upload_stays_but_the_object(
    local: LocalStorage, tmp_path: Path
) -> None:
    upload_id, claim = begin(local)
    local.receive_part(claim, io.BytesIO(b"bytes"), 5)

    local.complete_upload(KEY, upload_id, size=5)

    root = tmp_path / "store"
    assert {str(path.relative_to(root)) for path in files_below(root)} == {
        f"objects/{KEY}",
        f"types/{KEY}",
    }


def test_a_link_that_leads_out_of_the_store_is_not_followed(
    local: LocalStorage, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tmp_path / "store" / "objects" / "o").symlink_to(outside)

    for ask in (
        lambda: local.path("o/secret"),
        lambda: local.read("o/secret"),
        lambda: local.write("o/new", b"", content_type="text/plain"),
        lambda: local.delete("o/secret"),
        lambda: local.delete_prefix("o/"),
    ):
        with pytest.raises(InvalidKey):
            ask()
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_store_may_itself_lie_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    local = LocalStorage(tmp_path / "link", b"secret")

    local.write(KEY, b"bytes", content_type="text/plain")

    assert local.read(KEY) == b"bytes"


def test_a_folder_is_no_object(local: LocalStorage) -> None:
    local.write(KEY, b"bytes", content_type="text/plain")

    with pytest.raises(ObjectNotFound):
        local.stat("o/1")
    with pytest.raises(ObjectNotFound):
        local.path("o/1")


@pytest.mark.parametrize("key", ["o/1", f"{KEY}/below"])
def test_a_key_cannot_be_the_folder_of_another(local: LocalStorage, key: str) -> None:
    local.write(KEY, b"bytes", content_type="text/plain")

    with pytest.raises(InvalidKey):
        local.write(key, b"bytes", content_type="text/plain")

    assert local.read(KEY) == b"bytes"


def test_keys_that_look_like_our_own_files_do_not_collide(local: LocalStorage) -> None:
    local.write("o/a", b"1", content_type="text/plain")
    local.write("o/a.meta", b"2", content_type="text/vtt")
    local.write("types/o/a", b"3", content_type="text/csv")

    assert local.stat("o/a").content_type == "text/plain"
    assert [local.read(key) for key in ("o/a", "o/a.meta", "types/o/a")] == [b"1", b"2", b"3"]


def test_an_object_whose_type_was_lost_is_just_bytes(local: LocalStorage, tmp_path: Path) -> None:
    local.write(KEY, b"bytes", content_type="text/html")
    (tmp_path / "store" / "types" / KEY).unlink()

    assert local.stat(KEY).content_type == "application/octet-stream"


def test_a_reader_of_an_object_is_not_disturbed_by_a_writer(local: LocalStorage) -> None:
    local.write(KEY, b"old", content_type="text/plain")

    with local.path(KEY).open("rb") as reader:
        local.write(KEY, b"new", content_type="text/plain")
        assert reader.read() == b"old"


def test_a_failed_upload_of_a_file_leaves_what_was_there(
    local: LocalStorage, tmp_path: Path
) -> None:
    local.write(KEY, b"old", content_type="text/plain")

    # A folder opens as a file nowhere: the copy fails before the object is replaced.
    with pytest.raises(IsADirectoryError):
        local.upload_file(tmp_path, KEY, content_type="text/plain")

    assert local.read(KEY) == b"old"


def test_what_a_killed_process_left_is_swept_a_day_later(
    local: LocalStorage, tmp_path: Path
) -> None:
    del local
    root = tmp_path / "store"
    old, fresh, folder = (root / "temporary" / name for name in ("old", "fresh", "folder"))
    old.write_bytes(b"")
    fresh.write_bytes(b"")
    folder.mkdir()
    two_days_ago = now().timestamp() - 2 * 24 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    os.utime(folder, (two_days_ago, two_days_ago))

    LocalStorage(root, b"secret")

    assert [path.name for path in (root / "temporary").iterdir()] == ["fresh"]


def test_a_store_whose_disk_is_gone_is_not_ready(local: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "gone")

    with pytest.raises(StorageUnavailable):
        local.check()


def test_only_the_user_of_the_service_can_look_into_the_store(
    local: LocalStorage, tmp_path: Path
) -> None:
    local.write(KEY, b"bytes", content_type="text/plain")

    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
