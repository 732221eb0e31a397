"""What only the store in an S3 bucket promises: its addresses, its pages, its errors."""

from __future__ import annotations

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
)

from lms.core.storage import s3 as s3_module
from lms.core.storage.base import ObjectNotFound, StorageError, StorageUnavailable
from lms.core.storage.s3 import S3Storage
from lms.core.storage.s3_errors import s3_errors

KEY = "o/1/file/original"
HOUR = timedelta(hours=1)
UNUSED_BASE_URL = "http://unused.invalid"
ACCESS = {"region": "eu-central-1", "access_key": "test-access", "secret_key": "test-secret"}


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def answer(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )


def unreachable(**options: Any) -> S3Storage:
    """A store at an address where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    return S3Storage(
        bucket="bucket",
        endpoint_url=f"http://127.0.0.1:{port}",
        path_style=True,
        **ACCESS,
        **options,
    )


def test_signing_needs_no_network() -> None:
    storage = unreachable()

    storage.signed_url(KEY, expires_in=HOUR, base_url=UNUSED_BASE_URL)
    parts = storage.upload_parts(
        KEY, "upload", size=20 * 1024**3, expires_in=HOUR, base_url=UNUSED_BASE_URL
    )

    assert sum(part.size for part in parts) == 20 * 1024**3


def test_the_length_of_a_part_is_signed(s3: S3Storage) -> None:
    [part] = s3.upload_parts(KEY, "upload", size=5, expires_in=HOUR, base_url=UNUSED_BASE_URL)

    assert "content-length" in query(part.url)["X-Amz-SignedHeaders"].split(";")


def test_an_address_lives_as_long_as_asked_for(s3: S3Storage) -> None:
    url = s3.signed_url(KEY, expires_in=timedelta(seconds=90.5), base_url=UNUSED_BASE_URL)

    assert query(url)["X-Amz-Expires"] == "91"


def test_addresses_lead_to_the_public_endpoint_and_our_own_requests_do_not(
    s3: S3Storage, s3_endpoint: str, bucket: Any
) -> None:
    storage = S3Storage(
        bucket=bucket.name,
        endpoint_url=s3_endpoint,
        path_style=True,
        public_endpoint_url="https://media.example.com",
        **ACCESS,
    )
    storage.write(KEY, b"bytes", content_type="text/plain")

    read = storage.signed_url(KEY, expires_in=HOUR, base_url=UNUSED_BASE_URL)
    [part] = storage.upload_parts(KEY, "up", size=5, expires_in=HOUR, base_url=UNUSED_BASE_URL)

    assert read.startswith(f"https://media.example.com/{bucket.name}/{KEY}?")
    assert part.url.startswith(f"https://media.example.com/{bucket.name}/{KEY}?")
    assert s3.read(KEY) == storage.read(KEY) == b"bytes"


def test_the_bucket_is_part_of_the_host_without_path_style() -> None:
    storage = S3Storage(
        bucket="media", endpoint_url="https://s3.example.com", path_style=False, **ACCESS
    )

    url = storage.signed_url(KEY, expires_in=HOUR, base_url=UNUSED_BASE_URL)

    assert url.startswith(f"https://media.s3.example.com/{KEY}?")


def test_a_download_carries_its_name_in_any_script(s3: S3Storage) -> None:
    s3.write(KEY, b"bytes", content_type="application/pdf")
    url = s3.signed_url(KEY, expires_in=HOUR, base_url=UNUSED_BASE_URL, download_name="Übung 1.pdf")

    disposition = httpx.get(url).headers["content-disposition"]

    assert (
        disposition == "attachment; filename=\"Ubung 1.pdf\"; filename*=UTF-8''%C3%9Cbung%201.pdf"
    )


def test_a_prefix_of_many_pages_is_deleted_whole(
    s3: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "_PAGE_SIZE", 2)
    keys = [f"o/1/file/{number}" for number in range(5)]
    for key in keys:
        s3.write(key, b"", content_type="text/plain")

    s3.delete_prefix("o/1/")

    for key in keys:
        with pytest.raises(ObjectNotFound):
            s3.stat(key)


def test_objects_and_uploads_are_listed_over_many_pages(
    s3: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "_PAGE_SIZE", 2)
    keys = [f"o/listed/file/{number}" for number in range(5)]
    for key in keys:
        s3.write(key, b"", content_type="text/plain")
        s3.begin_upload(f"{key}/part", size=1, content_type="text/plain")

    assert [one.key for one in s3.list_objects("o/listed/")] == keys
    uploads = {one.key for one in s3.list_uploads("o/listed/")}
    assert uploads == {f"{key}/part" for key in keys}


def test_parts_are_listed_over_many_pages(s3: S3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "_PAGE_SIZE", 2)
    upload_id = s3.begin_upload(KEY, size=5 * 8 * 1024**2, content_type="video/mp4")
    parts = s3.upload_parts(
        KEY, upload_id, size=5 * 8 * 1024**2, expires_in=HOUR, base_url=UNUSED_BASE_URL
    )
    for part in parts:
        httpx.put(part.url, content=b"short").raise_for_status()

    assert [part.number for part in s3.uploaded_parts(KEY, upload_id)] == [1, 2, 3, 4, 5]


def test_a_store_that_does_not_listen_is_not_ready() -> None:
    with pytest.raises(StorageUnavailable):
        unreachable().check()


def test_a_bucket_that_does_not_exist_is_not_ready(s3_endpoint: str) -> None:
    storage = S3Storage(bucket="absent", endpoint_url=s3_endpoint, path_style=True, **ACCESS)

    with pytest.raises(StorageUnavailable):
        storage.check()


class Peer:
    """A store that gives one prepared answer to everything, and remembers what it was asked."""

    def __init__(self, server: HTTPServer) -> None:
        self.endpoint = f"http://127.0.0.1:{server.server_port}"
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.answer: tuple[dict[str, str], bytes] = ({"Content-Length": "0"}, b"")

    def storage(self) -> S3Storage:
        return S3Storage(bucket="b", endpoint_url=self.endpoint, path_style=True, **ACCESS)


@pytest.fixture
def peer() -> Iterator[Peer]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            remembered.headers.append({name.lower(): value for name, value in self.headers.items()})
            remembered.bodies.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            headers, body = remembered.answer
            self.send_response(200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_POST = respond  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by http.server
            """Stay silent."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        remembered = Peer(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield remembered
        server.shutdown()
        thread.join()


def test_an_object_is_sent_without_checksums_that_many_stores_do_not_know(peer: Peer) -> None:
    peer.storage().write(KEY, b"bytes", content_type="text/plain")

    assert peer.bodies == [b"bytes"]
    assert not [name for name in peer.headers[0] if "checksum" in name or "trailer" in name]


def test_deleting_many_sends_the_checksum_that_older_stores_require(peer: Peer) -> None:
    listing = f"<ListBucketResult><Contents><Key>{KEY}</Key></Contents></ListBucketResult>".encode()
    peer.answer = ({"Content-Length": str(len(listing))}, listing)

    peer.storage().delete_prefix("o/1/")

    digest = base64.b64encode(hashlib.md5(peer.bodies[-1]).digest()).decode()
    assert peer.headers[-1]["content-md5"] == digest


def test_a_prefix_of_which_something_could_not_be_deleted_is_an_error(peer: Peer) -> None:
    both = f"""<Answer><Contents><Key>{KEY}</Key></Contents>
        <Error><Key>{KEY}</Key><Code>AccessDenied</Code></Error></Answer>""".encode()
    peer.answer = ({"Content-Length": str(len(both))}, both)

    with pytest.raises(StorageError, match="AccessDenied"):
        peer.storage().delete_prefix("o/1/")


def test_an_answer_that_breaks_off_is_worth_another_try(peer: Peer) -> None:
    peer.answer = ({"Content-Length": "10"}, b"short")

    with pytest.raises(StorageUnavailable):
        peer.storage().read(KEY)


@pytest.mark.parametrize(
    "error",
    [
        answer("SlowDown", 503),
        answer("InternalError", 200),
        answer("RequestTimeout", 400),
        answer("TooManyRequests", 429),
        EndpointConnectionError(endpoint_url="http://s3"),
        ReadTimeoutError(endpoint_url="http://s3"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        RetriesExceededError(ReadTimeoutError(endpoint_url="http://s3")),
    ],
    ids=repr,
)
def test_what_may_pass_is_told_from_what_will_not(error: Exception) -> None:
    with pytest.raises(StorageUnavailable), s3_errors(KEY):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        answer("AccessDenied", 403),
        answer("NoSuchBucket", 404),
        ParamValidationError(report="Invalid bucket name"),
    ],
    ids=repr,
)
def test_a_refusal_is_final(error: Exception) -> None:
    with pytest.raises(StorageError) as refused, s3_errors(KEY):
        raise error
    assert type(refused.value) is StorageError


def test_an_overloaded_store_is_seen_behind_the_transfers_own_error() -> None:
    def upload() -> None:
        try:
            raise answer("SlowDown", 503)
        except ClientError as error:
            raise S3UploadFailedError("Failed to upload") from error

    with pytest.raises(StorageUnavailable), s3_errors(KEY):
        upload()
