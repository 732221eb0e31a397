"""Make the bucket that S3_BUCKET names and let browsers use it; safe to repeat.

    python deploy/bucket.py ORIGIN[,ORIGIN ...]

Pages at these origins may then upload to and read from signed addresses; an origin may hold one
`*`. A store that knows no CORS rules per bucket (it then has a setting of its own) is no failure.
"""  # noqa: INP001 - a script, run by its path

from __future__ import annotations

import sys
from typing import Any

from boto3.session import Session
from botocore.exceptions import ClientError

from lms.config import ConfigurationError, Settings
from lms.core.storage.s3_client import make_client

DEFAULT_REGION = "us-east-1"
"""The one region that must not be named when a bucket is made."""


def prepare_bucket(settings: Settings, origins: list[str]) -> None:
    """Make the bucket if it is missing, and set its CORS rule.

    Args:
        settings: the installation's.
        origins: scheme and host of the pages that upload and play.

    Raises:
        ConfigurationError: the installation stores files elsewhere.
        ClientError: the store refused.
    """
    if settings.s3_bucket is None:
        raise ConfigurationError("S3_BUCKET is not set.")
    session = Session(
        aws_access_key_id=settings.s3_access_key,
        aws_secret_access_key=settings.s3_secret_key,
        region_name=settings.s3_region,
    )
    client = make_client(session, settings.s3_endpoint_url, path_style=settings.s3_path_style)
    _make(client, settings.s3_bucket, settings.s3_region)
    _allow_browsers(client, settings.s3_bucket, origins)


def _make(client: Any, bucket: str, region: str) -> None:
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    else:
        _say(f"The bucket {bucket} is there.")
        return
    place = {} if region == DEFAULT_REGION else {"LocationConstraint": region}
    client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": place} if place else {}))
    _say(f"Made the bucket {bucket}.")


def _allow_browsers(client: Any, bucket: str, origins: list[str]) -> None:
    rule = {
        "AllowedOrigins": origins,
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Length", "Content-Range", "Accept-Ranges"],
        "MaxAgeSeconds": 3600,
    }
    try:
        client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    except ClientError as error:
        if error.response["Error"]["Code"] != "NotImplemented":
            raise
        _say(
            "This store has no CORS rules per bucket; set the allowed origins in its own settings."
        )
        return
    _say(f"Pages at {', '.join(origins)} may use it.")


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python deploy/bucket.py ORIGIN[,ORIGIN ...]")
    prepare_bucket(Settings.from_environment(), sys.argv[1].split(","))
