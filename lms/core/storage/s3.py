"""Objects in a bucket of any store that speaks S3: the choice for production.

Clients send parts straight to the bucket and need not report ETags: completing asks the store for
them. A browser on another origin needs a CORS rule on the bucket that allows PUT and GET. A rule
that expires incomplete multipart uploads catches what a crash leaves behind, and what a store
(MinIO) does not list by prefix when a prefix is deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

from boto3.s3.transfer import TransferConfig
from boto3.session import Session
from botocore.exceptions import ClientError

from lms.core.storage.base import (
    ListedObject,
    ListedUpload,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    StoredObject,
    UploadedPart,
    UploadIncomplete,
    UploadPart,
)
from lms.core.storage.disposition import content_disposition
from lms.core.storage.parts import missing_parts, plan_parts
from lms.core.storage.s3_client import make_client
from lms.core.storage.s3_errors import error_code, s3_errors
from lms.core.storage.validation import (
    expect_size,
    validate_key,
    validate_prefix,
    validate_range,
    whole_seconds,
)

_CHUNK_SIZE = 1024 * 1024

# Entries per answer of a listing, and objects per DeleteObjects: the most that S3 takes.
_PAGE_SIZE = 1_000

# Several workers share a machine with ffmpeg: fewer threads than boto3's ten.
_TRANSFER = TransferConfig(max_concurrency=4)


class S3Storage:
    """``Storage`` in an S3 bucket.

    Make it once, before worker processes are forked: creating the clients takes most of a second
    and much of the memory. Clients are safe between threads, and between processes as long as the
    parent has not used them; ``check`` has a client of its own, so the parent may call it.

    Args:
        bucket: Name of an existing bucket.
        endpoint_url: Address of the store; None for Amazon.
        region: Region that requests are signed for.
        access_key: Access key id; None lets boto3 find credentials itself (instance role, profile).
        secret_key: Secret access key, with the access key id.
        path_style: Put the bucket's name into the path instead of the host name.
        public_endpoint_url: Address under which clients reach the store, if it is another one.
    """

    def __init__(
        self,
        *,
        bucket: str,
        endpoint_url: str | None,
        region: str,
        access_key: str | None = None,
        secret_key: str | None = None,
        path_style: bool,
        public_endpoint_url: str | None = None,
    ) -> None:
        self._bucket = bucket
        session = Session(
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region
        )
        self._client = make_client(session, endpoint_url, path_style=path_style)
        self._prober = make_client(session, endpoint_url, path_style=path_style, patient=False)
        self._signer = (
            make_client(session, public_endpoint_url, path_style=path_style)
            if public_endpoint_url
            else self._client
        )

    def begin_upload(self, key: str, *, size: int, content_type: str) -> str:
        """See ``Storage.begin_upload``."""
        plan_parts(size)
        with s3_errors(key):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=validate_key(key), ContentType=content_type
            )
        return answer["UploadId"]

    def upload_parts(
        self,
        key: str,
        upload_id: str,
        *,
        size: int,
        expires_in: timedelta,
        base_url: str,  # noqa: ARG002 - the bucket has an address of its own
    ) -> list[UploadPart]:
        """See ``Storage.upload_parts``."""
        validate_key(key)
        seconds = whole_seconds(expires_in)
        return [
            UploadPart(
                number=part.number,
                method="PUT",
                url=self._signer.generate_presigned_url(
                    "upload_part",
                    Params={
                        "Bucket": self._bucket,
                        "Key": key,
                        "UploadId": upload_id,
                        "PartNumber": part.number,
                        # Signed: the store refuses a body of another size, so quotas hold.
                        "ContentLength": part.size,
                    },
                    ExpiresIn=seconds,
                ),
                offset=part.offset,
                size=part.size,
                headers={},
            )
            for part in plan_parts(size)
        ]

    def uploaded_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """See ``Storage.uploaded_parts``."""
        return [
            UploadedPart(part["PartNumber"], part["Size"])
            for part in self._list_parts(key, upload_id)
        ]

    def complete_upload(self, key: str, upload_id: str, *, size: int) -> StoredObject:
        """See ``Storage.complete_upload``."""
        # An upload that is gone was completed before if the object is there.
        with suppress(ObjectNotFound):
            self._join(key, upload_id, size)
        return expect_size(self.stat(key), size)

    def abort_upload(self, key: str, upload_id: str) -> None:
        """See ``Storage.abort_upload``."""
        with suppress(ObjectNotFound), s3_errors(key):
            self._client.abort_multipart_upload(
                Bucket=self._bucket, Key=validate_key(key), UploadId=upload_id
            )

    def stat(self, key: str) -> StoredObject:
        """See ``Storage.stat``."""
        with s3_errors(key):
            head = self._client.head_object(Bucket=self._bucket, Key=validate_key(key))
        return StoredObject(
            key=key,
            size=head["ContentLength"],
            content_type=head.get("ContentType", "application/octet-stream"),
            etag=head["ETag"].strip('"'),
            modified=head["LastModified"].astimezone(UTC),
        )

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Storage.read``."""
        return b"".join(self.open_chunks(key, start, end))

    def open_chunks(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """See ``Storage.open_chunks``."""
        validate_range(start, end)
        if start == end:
            # HTTP has no empty range; a missing object is still an error.
            self.stat(key)
            return
        with s3_errors(key):
            body = self._open_range(key, start, end)
            if body is None:
                return
            with closing(body):
                yield from body.iter_chunks(_CHUNK_SIZE)

    def download(self, key: str, path: Path) -> None:
        """See ``Storage.download``."""
        with s3_errors(key):
            self._client.download_file(self._bucket, validate_key(key), str(path), Config=_TRANSFER)

    def upload_file(self, path: Path, key: str, *, content_type: str) -> StoredObject:
        """See ``Storage.upload_file``."""
        with s3_errors(key):
            self._client.upload_file(
                str(path),
                self._bucket,
                validate_key(key),
                ExtraArgs={"ContentType": content_type},
                Config=_TRANSFER,
            )
        return self.stat(key)

    def write(self, key: str, data: bytes, *, content_type: str) -> None:
        """See ``Storage.write``."""
        with s3_errors(key):
            self._client.put_object(
                Bucket=self._bucket, Key=validate_key(key), Body=data, ContentType=content_type
            )

    def delete(self, key: str) -> None:
        """See ``Storage.delete``."""
        with suppress(ObjectNotFound), s3_errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=validate_key(key))

    def list_objects(self, prefix: str) -> Iterator[ListedObject]:
        """See ``Storage.list_objects``."""
        with s3_errors(prefix):
            for found in self._list("list_objects_v2", "Contents", Prefix=validate_prefix(prefix)):
                modified = found["LastModified"].astimezone(UTC)
                yield ListedObject(found["Key"], found["Size"], modified)

    def list_uploads(self, prefix: str) -> Iterator[ListedUpload]:
        """See ``Storage.list_uploads``."""
        request = {"Prefix": validate_prefix(prefix)}
        with s3_errors(prefix):
            for found in self._list("list_multipart_uploads", "Uploads", **request):
                begun = found["Initiated"].astimezone(UTC)
                yield ListedUpload(found["Key"], found["UploadId"], begun)

    def delete_prefix(self, prefix: str) -> None:
        """See ``Storage.delete_prefix``."""
        validate_prefix(prefix)
        with s3_errors(prefix):
            for upload in self._list("list_multipart_uploads", "Uploads", Prefix=prefix):
                self.abort_upload(upload["Key"], upload["UploadId"])
            keys = [
                found["Key"] for found in self._list("list_objects_v2", "Contents", Prefix=prefix)
            ]
            for first in range(0, len(keys), _PAGE_SIZE):
                self._delete_all(keys[first : first + _PAGE_SIZE])

    def signed_url(
        self,
        key: str,
        *,
        expires_in: timedelta,
        base_url: str,  # noqa: ARG002 - the bucket has an address of its own
        content_type: str | None = None,
        download_name: str | None = None,
    ) -> str:
        """See ``Storage.signed_url``."""
        params = {"Bucket": self._bucket, "Key": validate_key(key)}
        if content_type is not None:
            params["ResponseContentType"] = content_type
        if download_name is not None:
            params["ResponseContentDisposition"] = content_disposition(download_name)
        return self._signer.generate_presigned_url(
            "get_object", Params=params, ExpiresIn=whole_seconds(expires_in)
        )

    def check(self) -> None:
        """See ``Storage.check``."""
        try:
            with s3_errors(f"bucket {self._bucket}"):
                self._prober.head_bucket(Bucket=self._bucket)
        except StorageError as error:
            raise StorageUnavailable(str(error)) from error

    def _list(self, operation: str, field: str, **request: Any) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator(operation).paginate(
            Bucket=self._bucket, PaginationConfig={"PageSize": _PAGE_SIZE}, **request
        )
        for page in pages:
            yield from page.get(field, ())

    def _list_parts(self, key: str, upload_id: str) -> list[dict[str, Any]]:
        with s3_errors(f"upload of {key}"):
            return list(
                self._list("list_parts", "Parts", Key=validate_key(key), UploadId=upload_id)
            )

    def _join(self, key: str, upload_id: str, size: int) -> None:
        arrived = {part["PartNumber"]: part for part in self._list_parts(key, upload_id)}
        missing = missing_parts(size, {number: part["Size"] for number, part in arrived.items()})
        if missing:
            raise UploadIncomplete(missing)
        parts = [
            {"PartNumber": part.number, "ETag": arrived[part.number]["ETag"]}
            for part in plan_parts(size)
        ]
        with s3_errors(f"upload of {key}"):
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": parts},
            )

    def _open_range(self, key: str, start: int, end: int | None) -> Any:
        """Return the body of an object's range, None when it starts behind the object's end."""
        request = {"Bucket": self._bucket, "Key": validate_key(key)}
        if start or end is not None:
            request["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        try:
            return self._client.get_object(**request)["Body"]
        except ClientError as error:
            if error_code(error) == "InvalidRange":
                return None
            raise

    def _delete_all(self, keys: list[str]) -> None:
        answer = self._client.delete_objects(
            Bucket=self._bucket,
            Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
        )
        if refused := answer.get("Errors"):
            raise StorageError(f"{len(refused)} objects were not deleted, first: {refused[0]}")
