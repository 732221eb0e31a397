"""What both doors, HTTP and workers, stand on: made from settings in one place."""

from __future__ import annotations

from lms.config import Settings
from lms.core.storage.base import Storage
from lms.core.storage.local import LocalStorage
from lms.core.storage.s3 import S3Storage
from tenants.ddl import served_revisions
from tenants.session import Database


def create_database(settings: Settings, *, pool_size: int | None = None) -> Database:
    """Return the pool as the restricted login role."""
    return Database(
        settings.database_url,
        served_revisions=served_revisions(),
        pool_size=settings.database_pool_size if pool_size is None else pool_size,
        prepared_statements=settings.database_prepared_statements,
        organizations_per_connection=settings.database_organizations_per_connection,
        statements_per_connection=settings.database_statements_per_connection,
    )


def create_storage(settings: Settings) -> Storage:
    """Return the store for uploaded bytes: S3 when a bucket is named, else local files."""
    if settings.s3_bucket is not None:
        return S3Storage(
            bucket=settings.s3_bucket,
            endpoint_url=settings.s3_endpoint_url,
            region=settings.s3_region,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            path_style=settings.s3_path_style,
            public_endpoint_url=settings.s3_public_endpoint_url,
        )
    if settings.storage_path is None:
        raise ValueError("Settings.check() makes sure of a store")
    return LocalStorage(settings.storage_path, settings.secret_key.encode())
