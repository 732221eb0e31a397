"""Collecting what nothing refers to any more: rows of files first, then bytes in storage.

Whatever is deleted, its row goes first and its bytes later, by what a listing of the storage shows.
So it may be stopped anywhere: what is left is found the next time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby, islice
from typing import TypeVar
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session

from lms.core.storage.base import ListedObject, ListedUpload, ObjectNotFound, Storage, StorageError
from lms.courses.models import MediaFile
from lms.courses.operations.unused import delete_unused
from lms.media import leftovers
from lms.media.leftovers import Leftover, References
from lms.media.models import MediaAsset

log = structlog.get_logger()
T = TypeVar("T")

Step = Callable[[], AbstractContextManager[Session]]
"""Opens one short transaction of the organization."""

KEPT = timedelta(days=1)
"""For so long everything is left alone; longer than any request, and than any playback link."""

ABANDONED_AFTER = timedelta(days=7)
"""An upload can be resumed for so long after it was begun."""

AT_ONCE = 100
"""Assets per transaction."""

ABANDONED = (
    "upload_abandoned",
    "The upload was not finished within 7 days. Please upload the file again.",
)
"""Code, and message for the teacher."""


@dataclass(slots=True)
class Collection:
    """What was collected, or would be.

    Attributes:
        counts: how many leftovers, by kind.
        size: their bytes.
        failed: how many the store did not delete; the next time will try again.
    """

    counts: dict[str, int] = field(
        default_factory=lambda: {"file": 0, "conversion": 0, "upload": 0}
    )
    size: int = 0
    failed: int = 0

    def add(self, leftover: Leftover, size: int) -> None:
        """Count a leftover of so many bytes."""
        self.counts[leftover.kind] += 1
        self.size += size


@dataclass(frozen=True, slots=True)
class _Gone:
    """Rows that a dry run takes for deleted or ended."""

    asset_ids: frozenset[UUID] = frozenset()
    upload_ids: frozenset[str] = frozenset()


def count_assets(session: Session) -> int:
    """Return how many assets there are: about as many folders as a collection looks into."""
    return session.scalars(select(func.count()).select_from(MediaAsset)).one()


def collect(
    step: Step,
    storage: Storage,
    organization_id: UUID,
    *,
    now: datetime,
    on_folder: Callable[[], None],
    dry_run: bool = False,
) -> Collection:
    """Collect what nothing refers to, in the rows and in the storage of an organization.

    Args:
        step: opens its transactions; none is open while the store is asked.
        storage: the store.
        organization_id: whose.
        now: UTC.
        on_folder: called for each folder that was looked into.
        dry_run: only count.

    Raises:
        StorageError: the store cannot be listed.
    """
    before = now - KEPT
    gone = _would_go(step, now) if dry_run else _Gone()
    made = Collection()
    if not dry_run:
        for upload in _delete_rows(step, now):
            _take(storage, upload, made, dry_run=False)
    prefix = f"o/{organization_id}/"
    look = _Look(step, before, gone)
    for leftover in _in_folders(look, storage.list_objects(prefix), on_folder):
        _take(storage, leftover, made, dry_run=dry_run)
    for leftover in _uploads(look, storage.list_uploads(prefix)):
        _take(storage, leftover, made, dry_run=dry_run)
    return made


def end_abandoned_uploads(session: Session, *, before: datetime, most: int) -> list[Leftover]:
    """Mark uploads failed that were begun long ago.

    Args:
        session: the organization's.
        before: begun earlier than that, UTC.
        most: how many at once.

    Returns:
        The uploads, to be aborted after the commit: some stores list none. `most` of them when
        there may be more.
    """
    assets = session.scalars(
        select(MediaAsset)
        .where(_abandoned(before))
        .order_by(MediaAsset.id)
        .limit(most)
        .with_for_update(key_share=True)
    ).all()
    ended = [Leftover("upload", one.storage_key, one.upload_id, None) for one in assets]
    for asset in assets:
        asset.state, asset.upload_id = "failed", None
        asset.error_code, asset.error_message = ABANDONED
    session.flush()
    return ended


def delete_unused_assets(
    session: Session, *, before: datetime, after: UUID, most: int
) -> UUID | None:
    """Delete assets that no lesson's file refers to, with all that was made of them.

    A copy of a version that is just about to refer to one holds it by its foreign key: this waits,
    and then finds it used.

    Args:
        session: the organization's.
        before: only those that were made earlier, UTC.
        after: only those with a higher id.
        most: how many to look at.

    Returns:
        The highest id that was looked at; None when there is none any more.
    """
    found = session.scalars(
        select(MediaAsset.id)
        .where(_unused(before), MediaAsset.id > after)
        .order_by(MediaAsset.id)
        .limit(most)
    ).all()
    if not found:
        return None
    delete_unused(session, found)
    return found[-1]


def _unused(before: datetime) -> ColumnElement[bool]:
    used = exists().where(MediaFile.asset_id == MediaAsset.id)
    return and_(~used, MediaAsset.created_at < before)


def _abandoned(before: datetime) -> ColumnElement[bool]:
    return and_(
        MediaAsset.state == "awaiting_upload",
        MediaAsset.upload_id.is_not(None),
        MediaAsset.created_at < before,
    )


def _delete_rows(step: Step, now: datetime) -> Iterator[Leftover]:
    """Delete and end rows; yields uploads that nobody waits for any more."""
    more = True
    while more:
        with step() as session:
            ended = end_abandoned_uploads(session, before=now - ABANDONED_AFTER, most=AT_ONCE)
        yield from ended
        more = len(ended) == AT_ONCE
    after: UUID | None = UUID(int=0)
    while after is not None:
        with step() as session:
            after = delete_unused_assets(session, before=now - KEPT, after=after, most=AT_ONCE)


def _would_go(step: Step, now: datetime) -> _Gone:
    with step() as session:
        unused = session.scalars(select(MediaAsset.id).where(_unused(now - KEPT))).all()
        abandoned = session.scalars(
            select(MediaAsset.upload_id).where(_abandoned(now - ABANDONED_AFTER))
        ).all()
    return _Gone(frozenset(unused), frozenset(filter(None, abandoned)))


@dataclass(frozen=True, slots=True)
class _Look:
    """How references are looked up, and until when things must have been written to be taken."""

    step: Step
    before: datetime
    gone: _Gone

    def up(self, asset_ids: Iterable[UUID]) -> dict[UUID, References]:
        wanted = set(asset_ids) - self.gone.asset_ids
        with self.step() as session:
            found = leftovers.find_references(session, wanted, since=self.before)
        for references in found.values():
            if references.upload_id in self.gone.upload_ids:
                references.upload_id = None
        return found


def _in_folders(
    look: _Look, objects: Iterable[ListedObject], on_folder: Callable[[], None]
) -> Iterator[Leftover]:
    folders = (
        (asset_id, list(inside))
        for asset_id, inside in groupby(objects, lambda one: leftovers.asset_of(one.key))
        if asset_id is not None
    )
    for some in _batches(folders):
        references = look.up(asset_id for asset_id, _ in some)
        for asset_id, inside in some:
            on_folder()
            yield from leftovers.in_folder(inside, references.get(asset_id), before=look.before)


def _uploads(look: _Look, uploads: Iterable[ListedUpload]) -> Iterator[Leftover]:
    ours = (
        (asset_id, upload)
        for upload in uploads
        if (asset_id := leftovers.asset_of(upload.key)) is not None
    )
    for some in _batches(ours):
        references = look.up(asset_id for asset_id, _ in some)
        for asset_id, upload in some:
            if leftovers.is_left(upload, references.get(asset_id), before=look.before):
                yield Leftover("upload", upload.key, upload.upload_id, None)


def _take(storage: Storage, leftover: Leftover, made: Collection, *, dry_run: bool) -> None:
    """Delete a leftover and count it."""
    try:
        size = _size_of(storage, leftover)
        if not dry_run:
            _delete(storage, leftover)
    except StorageError as error:
        log.warning("leftover_not_collected", key=leftover.key, error=str(error))
        made.failed += 1
        return
    made.add(leftover, size)


def _size_of(storage: Storage, leftover: Leftover) -> int:
    if leftover.size is not None:
        return leftover.size
    if leftover.upload_id is not None:
        # Its end between the listing and now is no trouble.
        with suppress(ObjectNotFound):
            parts = storage.uploaded_parts(leftover.key, leftover.upload_id)
            return sum(part.size for part in parts)
    return 0


def _delete(storage: Storage, leftover: Leftover) -> None:
    if leftover.upload_id is None:
        storage.delete_prefix(leftover.key)
    else:
        storage.abort_upload(leftover.key, leftover.upload_id)


def _batches(things: Iterable[T]) -> Iterator[Sequence[T]]:
    each = iter(things)
    while some := list(islice(each, AT_ONCE)):
        yield some
