"""Where transcodings are measured: servers of its own, an organization, and uploads to it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text

from bench.fill import Filled, filled
from bench.report import Context, UnmeasurableError
from bench.stage import SECRET_KEY
from lms.compose import create_database, create_storage
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.embedded.redis import EmbeddedRedis
from lms.media import operations, uploads
from lms.media.models import MediaAsset, Video
from lms.platform.provisioning import FirstAdmin, Owner, create_organization
from lms.users.models import User
from tenants.provisioning import NewOrganization
from tenants.session import PLATFORM, Database, OrganizationScope


@dataclass(frozen=True, slots=True)
class Studio:
    """An organization that videos can be uploaded to."""

    place: Filled
    settings: Settings
    database: Database
    storage: Storage
    doorbell: Doorbell
    scope: OrganizationScope


@contextmanager
def running_studio(context: Context) -> Iterator[Studio]:
    """Make an organization on servers of its own."""
    folder = Path(tempfile.mkdtemp(dir=context.home, prefix="pipeline-"))
    redis = EmbeddedRedis(folder / "redis")
    try:
        with filled(context, 0) as place:
            redis.start()
            settings = Settings(
                database_url=place.app_url,
                database_admin_url=place.admin_url,
                redis_url=redis.url,
                secret_key=SECRET_KEY,
                storage_path=folder / "storage",
                scratch_path=folder / "scratch",
            )
            organization_id = new_id()
            create_organization(
                Owner(place.admin_url, place.app_url),
                NewOrganization(organization_id, "films", "Films"),
                FirstAdmin("first.admin@example.test", "First Admin"),
                actor_id=None,
            )
            database = create_database(settings)
            try:
                yield Studio(
                    place=place,
                    settings=settings,
                    database=database,
                    storage=create_storage(settings),
                    doorbell=Doorbell(redis.url),
                    scope=OrganizationScope(organization_id),
                )
            finally:
                database.dispose()
    finally:
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


def upload(studio: Studio, clip: Path) -> UUID:
    """Store a clip as a completed upload; return the id of its video, which is queued by that."""
    asset_id = new_id()
    key = operations.storage_key(studio.scope.id, asset_id)
    studio.storage.upload_file(clip, key, content_type="video/mp4")
    size = clip.stat().st_size
    with studio.database.transaction(studio.scope) as session:
        asset = MediaAsset(
            id=asset_id,
            kind="unknown",
            content_type="video/mp4",
            size=size,
            storage_key=key,
            upload_id="done",
            created_by=session.scalars(select(User.id)).one(),
        )
        session.add(asset)
    found = uploads.complete(studio.storage, key=key, upload_id="done", size=size, sha256=None)
    with studio.database.transaction(studio.scope) as session:
        operations.settle_upload(session, studio.doorbell, asset_id, found)
        return session.scalars(select(Video.id).where(Video.asset_id == asset_id)).one()


def waiting_work(studio: Studio) -> UUID:
    """Return the id of the one row of work that waits."""
    with studio.database.transaction(PLATFORM) as session:
        return session.scalars(text("SELECT id FROM platform.work WHERE state = 'waiting'")).one()


def require_published(studio: Studio, video_id: UUID) -> None:
    """Make sure that the job did what was measured.

    Raises:
        UnmeasurableError: the video is not ready, or the work not done.
    """
    with studio.database.transaction(studio.scope) as session:
        state = session.get_one(Video, video_id).state
    with studio.database.transaction(PLATFORM) as session:
        left = session.scalars(text("SELECT error FROM platform.work WHERE state <> 'done'")).all()
    if state != "ready" or left:
        raise UnmeasurableError(f"The video is {state}; work left over: {left}")
