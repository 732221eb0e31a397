from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from deploy.bucket import prepare_bucket
from lms.config import ConfigurationError, Settings

ORIGINS = ["https://*.academy.example", "https://academy.example"]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def settings_of(endpoint: str, **more: Any) -> Settings:
    return Settings(
        database_url="postgresql+psycopg://app@localhost/lms",
        redis_url="redis://localhost",
        secret_key="0123456789abcdef" * 4,
        **{
            "s3_bucket": "uploads",
            "s3_endpoint_url": endpoint,
            "s3_access_key": "key",
            "s3_secret_key": "secret",
            **more,
        },
    )


def client_of(endpoint: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_makes_the_bucket_and_lets_pages_of_the_origins_use_it(endpoint: str, region: str) -> None:
    bucket = f"uploads-{region}"
    prepare_bucket(settings_of(endpoint, s3_bucket=bucket, s3_region=region), ORIGINS)
    (rule,) = client_of(endpoint).get_bucket_cors(Bucket=bucket)["CORSRules"]
    assert rule["AllowedOrigins"] == ORIGINS
    assert set(rule["AllowedMethods"]) == {"GET", "HEAD", "PUT"}


def test_a_repeat_keeps_what_is_in_the_bucket(endpoint: str) -> None:
    prepare_bucket(settings_of(endpoint), ORIGINS)
    client_of(endpoint).put_object(Bucket="uploads", Key="o/1", Body=b"kept")
    prepare_bucket(settings_of(endpoint), ORIGINS)
    kept = client_of(endpoint).get_object(Bucket="uploads", Key="o/1")["Body"].read()
    assert kept == b"kept"


def test_says_when_the_installation_has_no_bucket(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="S3_BUCKET"):
        prepare_bucket(settings_of(endpoint, s3_bucket=None, storage_path=tmp_path), ORIGINS)
