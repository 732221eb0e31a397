"""What lies in storage and nothing refers to: rules, and what the database says for them.

An asset's folder `o/<organization>/<asset>/` holds its original and what was made of it, below
`renditions/<job>/attempt-<fence>/`. Two facts make it safe to look first and to delete later, with
no lock in between:

- The id of an asset is made for it, so a folder without a row never gets one, once the request that
  would have written the row is over.
- A claim's fence is never given again, so a job that is not open publishes no folder any more that
  it has not published yet.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from lms.core.storage.base import ListedObject, ListedUpload
from lms.media.models import MediaAsset, TranscodingJob, Video, VideoRendition
from lms.media.transcoding import OPEN

ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ASSET_FOLDER = re.compile(rf"o/[^/]+/(?P<asset_id>{ID})/")
ATTEMPT = re.compile(rf"renditions/(?P<job_id>{ID})/attempt-[0-9]+/")


@dataclass(frozen=True, slots=True)
class Leftover:
    """Bytes that nothing refers to.

    Attributes:
        kind: all of a `file` that was deleted, a `conversion` of one that is there, or an `upload`
            that was never completed.
        key: a prefix that ends with a slash; of an upload, its key.
        upload_id: of an upload.
        size: bytes; None while it is unknown.
    """

    kind: Literal["file", "conversion", "upload"]
    key: str
    upload_id: str | None
    size: int | None


@dataclass(slots=True)
class References:
    """What refers to the objects of an asset.

    Attributes:
        upload_id: of the upload that the asset waits for.
        keys: that its video and the renditions name.
        busy_jobs: conversions that are open: what they write is named at their end.
        replaced_lately: a conversion was published a short time ago, so people may still watch what
            it replaced.
    """

    upload_id: str | None
    keys: set[str] = field(default_factory=set[str])
    busy_jobs: set[UUID] = field(default_factory=set[UUID])
    replaced_lately: bool = False


def asset_of(key: str) -> UUID | None:
    """Return the id of the asset below whose folder a key lies; None for keys of another kind."""
    found = ASSET_FOLDER.match(key)
    return None if found is None else UUID(found["asset_id"])


def find_references(
    session: Session, asset_ids: Collection[UUID], *, since: datetime
) -> dict[UUID, References]:
    """Return what refers to assets' objects, by asset; those that do not exist are missing.

    Three statements, in an order that matters: a conversion that is published between them is seen
    as lately published by the last.

    Args:
        session: the organization's.
        asset_ids: whose folders were found.
        since: up to when what was published replaced nothing that people still watch, UTC.
    """
    found = {
        asset_id: References(upload_id)
        for asset_id, upload_id in session.execute(
            select(MediaAsset.id, MediaAsset.upload_id).where(MediaAsset.id.in_(asset_ids))
        )
    }
    for asset_id, *keys in session.execute(
        select(
            Video.asset_id,
            Video.poster_key,
            VideoRendition.media_key,
            VideoRendition.playlist_key,
        )
        .outerjoin(VideoRendition, VideoRendition.video_id == Video.id)
        .where(Video.asset_id.in_(found))
    ):
        found[asset_id].keys.update(key for key in keys if key is not None)
    published_lately = and_(
        TranscodingJob.state == "succeeded", TranscodingJob.finished_at >= since
    )
    for asset_id, job_id, state in session.execute(
        select(Video.asset_id, TranscodingJob.id, TranscodingJob.state)
        .join(TranscodingJob, TranscodingJob.video_id == Video.id)
        .where(Video.asset_id.in_(found), or_(TranscodingJob.state.in_(OPEN), published_lately))
    ):
        if state == "succeeded":
            found[asset_id].replaced_lately = True
        else:
            found[asset_id].busy_jobs.add(job_id)
    return found


def in_folder(
    objects: Sequence[ListedObject], references: References | None, *, before: datetime
) -> Iterator[Leftover]:
    """Find what nothing refers to in one asset's folder.

    Args:
        objects: all that is in it, at least one.
        references: to it; None when there is no such asset.
        before: what was written since then is left alone, UTC: an upload or a conversion may be
            going on.
    """
    folder = _folder_of(objects[0].key)
    if references is None:
        if all(one.modified < before for one in objects):
            yield Leftover("file", folder, None, sum(one.size for one in objects))
        return
    if references.replaced_lately:
        return
    attempts: defaultdict[str, list[ListedObject]] = defaultdict(list)
    for one in objects:
        found = ATTEMPT.match(one.key, len(folder))
        if found is not None and UUID(found["job_id"]) not in references.busy_jobs:
            attempts[one.key[: found.end()]].append(one)
    for prefix, written in attempts.items():
        named = any(key.startswith(prefix) for key in references.keys)
        if not named and all(one.modified < before for one in written):
            yield Leftover("conversion", prefix, None, sum(one.size for one in written))


def is_left(upload: ListedUpload, references: References | None, *, before: datetime) -> bool:
    """Tell whether nobody waits for an unfinished upload.

    Args:
        upload: as the store lists it.
        references: to its asset's objects; None when there is no such asset.
        before: what was begun since then is left alone, UTC: its row may not be written yet.
    """
    awaited = references is not None and references.upload_id == upload.upload_id
    return not awaited and upload.begun < before


def _folder_of(key: str) -> str:
    found = ASSET_FOLDER.match(key)
    if found is None:
        raise ValueError(f"not below an asset's folder: {key}")
    return found.group()
