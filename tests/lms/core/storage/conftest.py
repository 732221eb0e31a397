"""Both stores, each with the client's side of sending parts and fetching objects."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from moto.server import ThreadedMotoServer

from lms.core.storage.base import Storage, UploadPart
from lms.core.storage.local import LocalStorage
from lms.core.storage.s3 import S3Storage

BASE_URL = "http://acme.localhost:8000/api"
REGION = "eu-central-1"
ACCESS = {"access_key": "test-access", "secret_key": "test-secret"}


@dataclass(frozen=True)
class Fetched:
    body: bytes
    content_type: str
    disposition: str | None


class S3Client:
    """A browser that was given signed addresses of a bucket."""

    def send(self, part: UploadPart, data: bytes) -> None:
        httpx.request(part.method, part.url, content=data, headers=part.headers).raise_for_status()

    def fetch(self, url: str) -> Fetched:
        answer = httpx.get(url).raise_for_status()
        return Fetched(
            answer.content,
            answer.headers["content-type"],
            answer.headers.get("content-disposition"),
        )


class LocalClient:
    """A browser that was given signed addresses of ours, as the route /files/<token> serves it."""

    def __init__(self, storage: LocalStorage) -> None:
        self._storage = storage

    def send(self, part: UploadPart, data: bytes) -> None:
        claim = self._storage.verify(token_of(part.url), method="PUT", now=datetime.now(UTC))
        self._storage.receive_part(claim, io.BytesIO(data), len(data))

    def fetch(self, url: str) -> Fetched:
        claim = self._storage.verify(token_of(url), method="GET", now=datetime.now(UTC))
        return Fetched(
            self._storage.path(claim.key).read_bytes(),
            claim.content_type or self._storage.stat(claim.key).content_type,
            claim.download_name,
        )


@dataclass(frozen=True)
class Store:
    storage: Storage
    client: S3Client | LocalClient


def token_of(url: str) -> str:
    prefix = f"{BASE_URL}/files/"
    assert url.startswith(prefix)
    return url.removeprefix(prefix)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def bucket(s3_endpoint: str) -> Any:
    resource: Any = boto3.resource(
        "s3",
        endpoint_url=s3_endpoint,
        region_name=REGION,
        aws_access_key_id=ACCESS["access_key"],
        aws_secret_access_key=ACCESS["secret_key"],
    )
    return resource.create_bucket(
        Bucket=f"lms-{uuid.uuid4()}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )


@pytest.fixture(scope="session")
def s3_storage(s3_endpoint: str, bucket: Any) -> S3Storage:
    """One for all tests, because clients take long to make."""
    return S3Storage(
        bucket=bucket.name, endpoint_url=s3_endpoint, region=REGION, path_style=True, **ACCESS
    )


@pytest.fixture
def s3(s3_storage: S3Storage, bucket: Any) -> Iterator[S3Storage]:
    yield s3_storage
    bucket.objects.all().delete()
    for upload in bucket.multipart_uploads.all():
        upload.abort()


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store", b"secret of the installation")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    storage: Storage = request.getfixturevalue(request.param)
    if isinstance(storage, LocalStorage):
        return Store(storage, LocalClient(storage))
    return Store(storage, S3Client())
