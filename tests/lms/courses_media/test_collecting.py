"""What nothing refers to is collected, and never anything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.queue import COLLECT_MEDIA, enqueue_for
from lms.core.storage.base import Storage, StorageUnavailable
from lms.courses import collecting
from lms.courses.collecting import Collection, collect
from lms.courses.models import MediaFile
from lms.courses.operations import content
from lms.courses.operations.duplicating import duplicate_lesson
from lms.media.models import MediaAsset, TranscodingJob, VideoRendition
from tenants.session import PLATFORM, Database, OrganizationScope
from tests.factories.media import DraftLesson
from tests.factories.people import Person
from tests.lms.courses.conftest import wait_until_blocked

DAY = timedelta(days=1)
PDF = b"%PDF-1.7\n" + b"x" * 2000
Collect = Callable[..., Collection]


@pytest.fixture
def scope(acme: UUID) -> OrganizationScope:
    return OrganizationScope(acme)


@pytest.fixture
def root(acme: UUID) -> str:
    return f"o/{acme}"


@pytest.fixture(autouse=True)
def no_uploads_of_others(storage: Storage, root: str) -> None:
    """What other tests began and left is not what these look at."""
    for one in list(storage.list_uploads(f"{root}/")):
        storage.abort_upload(one.key, one.upload_id)


@pytest.fixture
def run(database: Database, scope: OrganizationScope, storage: Storage) -> Collect:
    """Collect as if it were so much later; two days by default, so that nothing is young."""

    def collected(
        *, later: timedelta = 2 * DAY, dry_run: bool = False, store: Storage = storage
    ) -> Collection:
        return collect(
            lambda: database.transaction(scope),
            store,
            scope.id,
            now=now() + later,
            on_folder=lambda: None,
            dry_run=dry_run,
        )

    return collected


@pytest.fixture(autouse=True)
def _nothing_left(run: Collect) -> None:
    """Other tests leave things in the organization that they share."""
    run(later=10 * DAY)


def keys(storage: Storage, prefix: str) -> set[str]:
    return {one.key for one in storage.list_objects(f"{prefix}/")}


def told(made: Collection) -> tuple[int, int, int, int]:
    """Files, conversions, uploads, bytes."""
    return (*made.counts.values(), made.size)


def write(storage: Storage, *names: str, size: int = 10) -> None:
    for key in names:
        storage.write(key, b"x" * size, content_type="application/octet-stream")


def asset_of(database: Database, scope: OrganizationScope, media_file: dict[str, Any]) -> UUID:
    with database.transaction(scope) as session:
        return session.get_one(MediaFile, UUID(media_file["id"])).asset_id


def forget_file(database: Database, scope: OrganizationScope, media_file: dict[str, Any]) -> None:
    """Lose a lesson's file without its asset, past the rules."""
    with database.transaction(scope) as session:
        session.execute(delete(MediaFile).where(MediaFile.id == UUID(media_file["id"])))


def exists(database: Database, scope: OrganizationScope, asset_id: UUID) -> bool:
    with database.transaction(scope) as session:
        return session.get(MediaAsset, asset_id) is not None


def test_the_bytes_of_a_file_that_is_not_there_any_more_go(
    run: Collect, storage: Storage, root: str
) -> None:
    folder = f"{root}/{new_id()}"
    write(storage, f"{folder}/original", f"{folder}/renditions/{new_id()}/attempt-1/360p.mp4")
    assert told(run()) == (1, 0, 0, 20)
    assert keys(storage, folder) == set()


def test_what_is_younger_than_a_day_stays(run: Collect, storage: Storage, root: str) -> None:
    folder = f"{root}/{new_id()}"
    write(storage, f"{folder}/original")
    upload_id = storage.begin_upload(f"{folder}/part", size=10, content_type="video/mp4")
    assert told(run(later=DAY - timedelta(minutes=1))) == (0, 0, 0, 0)
    assert keys(storage, folder) == {f"{folder}/original"}
    assert storage.uploaded_parts(f"{folder}/part", upload_id) == []


def test_another_organizations_bytes_and_keys_of_another_kind_stay(
    run: Collect, storage: Storage, root: str, globex: UUID
) -> None:
    others = {f"o/{globex}/{new_id()}/original", f"{root}/exports/a.zip", f"o/x/{new_id()}/a"}
    write(storage, *others)
    run()
    assert others <= keys(storage, "o")


def test_an_asset_that_no_lesson_uses_goes_with_its_bytes(
    run: Collect,
    uploader: Any,
    clip: bytes,
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    media_file = uploader.upload(clip)
    asset_id = asset_of(database, scope, media_file)
    forget_file(database, scope, media_file)
    assert told(run()) == (1, 0, 0, len(clip))
    assert not exists(database, scope, asset_id)
    assert keys(storage, f"{root}/{asset_id}") == set()


def test_a_file_that_a_lesson_uses_stays(
    run: Collect,
    uploader: Any,
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    asset_id = asset_of(database, scope, uploader.upload(PDF))
    assert told(run()) == (0, 0, 0, 0)
    assert keys(storage, f"{root}/{asset_id}") == {f"{root}/{asset_id}/original"}


def test_a_conversion_that_was_replaced_goes_a_day_later_and_what_plays_stays(
    run: Collect,
    uploader: Any,
    clip: bytes,
    run_jobs: Callable[..., None],
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    media_file = uploader.upload(clip)
    folder = f"{root}/{asset_of(database, scope, media_file)}"
    path = f"videos/{media_file['video_id']}/transcoding-jobs"
    run_jobs(UUID(uploader.get(path).json["items"][0]["id"]))
    first = keys(storage, folder)
    uploader.client.post(
        f"/api/v1/{path}", base_url="http://acme.localhost", headers=uploader.headers
    )
    run_jobs(UUID(uploader.get(path).json["items"][0]["id"]))
    second = keys(storage, folder) - first
    assert told(run(later=DAY - timedelta(minutes=1))) == (0, 0, 0, 0)

    made = run()

    assert made.counts == {"file": 0, "conversion": 1, "upload": 0}
    assert keys(storage, folder) == second | {f"{folder}/original"}
    with database.transaction(scope) as session:
        named = select(VideoRendition.media_key, VideoRendition.playlist_key).where(
            VideoRendition.video_id == UUID(media_file["video_id"])
        )
        assert {key for row in session.execute(named) for key in row} <= second


@pytest.fixture
def converted(
    uploader: Any, clip: bytes, database: Database, scope: OrganizationScope, root: str
) -> tuple[str, UUID]:
    """The folder of a video that waits for its conversion, and the conversion's id."""
    media_file = uploader.upload(clip)
    (job,) = uploader.get(f"videos/{media_file['video_id']}/transcoding-jobs").json["items"]
    return f"{root}/{asset_of(database, scope, media_file)}", UUID(job["id"])


@pytest.mark.parametrize(
    ("state", "goes"), [("queued", False), ("running", False), ("failed", True)]
)
def test_what_an_attempt_left_goes_once_its_conversion_has_ended(
    run: Collect,
    converted: tuple[str, UUID],
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    state: str,
    goes: bool,
) -> None:
    folder, job_id = converted
    left = f"{folder}/renditions/{job_id}/attempt-1/360p.mp4"
    write(storage, left)
    with database.transaction(scope) as session:
        values = {"state": state}
        session.execute(update(TranscodingJob).where(TranscodingJob.id == job_id).values(values))
    assert told(run()) == ((0, 1, 0, 10) if goes else (0, 0, 0, 0))
    assert (left not in keys(storage, folder)) is goes
    assert f"{folder}/original" in keys(storage, folder)


def test_what_lies_in_an_assets_folder_under_another_name_stays(
    run: Collect, converted: tuple[str, UUID], storage: Storage
) -> None:
    folder, _ = converted
    write(storage, f"{folder}/notes.txt", f"{folder}/renditions/readme")
    assert told(run()) == (0, 0, 0, 0)
    assert len(keys(storage, folder)) == 3


def test_an_upload_of_which_no_row_was_written_is_aborted(
    run: Collect, storage: Storage, root: str
) -> None:
    key = f"{root}/{new_id()}/original"
    storage.begin_upload(key, size=10, content_type="video/mp4")
    assert told(run()) == (0, 0, 1, 0)
    assert list(storage.list_uploads(f"{root}/")) == []


def test_an_upload_that_nobody_went_on_with_for_a_week_ends_with_words_for_the_teacher(
    run: Collect, uploader: Any, storage: Storage, root: str
) -> None:
    begun = uploader.create(len(PDF)).json
    uploader.send(begun, PDF)
    assert told(run(later=timedelta(days=6))) == (0, 0, 0, 0)
    assert uploader.get(f"media-files/{begun['id']}").json["upload"]["received_bytes"] == len(PDF)

    assert told(run(later=timedelta(days=8))) == (0, 0, 1, len(PDF))

    ended = uploader.get(f"media-files/{begun['id']}").json
    assert (ended["state"], ended["error_code"]) == ("failed", "upload_abandoned")
    assert ended["error_message"].endswith("Please upload the file again.")
    assert list(storage.list_uploads(f"{root}/")) == []
    assert uploader.complete(begun).json["state"] == "failed"


@pytest.fixture
def left(
    uploader: Any,
    converted: tuple[str, UUID],
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> set[str]:
    """One leftover of each kind among things in use; returns the keys of these."""
    folder, job_id = converted
    forget_file(database, scope, uploader.upload(PDF))
    write(storage, f"{root}/{new_id()}/original", f"{folder}/renditions/{job_id}/attempt-1/a.mp4")
    with database.transaction(scope) as session:
        job = session.get_one(TranscodingJob, job_id)
        job.state = "failed"
    storage.begin_upload(f"{root}/{new_id()}/original", size=10, content_type="video/mp4")
    uploader.create(len(PDF))
    used = asset_of(database, scope, uploader.upload(PDF))
    return {f"{folder}/original", f"{root}/{used}/original"}


EVERYTHING = (2, 1, 2, len(PDF) + 20)
WHEN_ALL_IS_LEFT = timedelta(days=8)


def test_a_dry_run_counts_the_same_and_changes_nothing(
    run: Collect,
    left: set[str],
    storage: Storage,
    root: str,
    database: Database,
    scope: OrganizationScope,
) -> None:
    def there() -> tuple[set[str], int, int]:
        uploads = len(list(storage.list_uploads(f"{root}/")))
        with database.transaction(scope) as session:
            assets = session.scalars(select(func.count()).select_from(MediaAsset)).one()
        return keys(storage, root), uploads, assets

    before = there()
    assert told(run(later=WHEN_ALL_IS_LEFT, dry_run=True)) == EVERYTHING
    assert there() == before
    assert told(run(later=WHEN_ALL_IS_LEFT)) == EVERYTHING
    assert left <= keys(storage, root)
    assert told(run(later=WHEN_ALL_IS_LEFT)) == (0, 0, 0, 0)


class KilledError(BaseException):
    """What a handler cannot catch."""


class Mortal:
    """A store, and transactions, that are killed before or after the n-th thing that they do."""

    def __init__(self, storage: Storage, begin: Callable[[], Any], lives: int) -> None:
        self._storage, self._begin, self._lives = storage, begin, lives

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._storage, name)
        if name not in ("delete_prefix", "abort_upload"):
            return found

        def done(*args: Any) -> None:
            self._die_at(0)
            found(*args)
            self._die_at(0)

        return done

    @contextmanager
    def step(self) -> Iterator[Session]:
        with self._begin() as session:
            yield session
            self._die_at(0)
        self._die_at(0)

    def _die_at(self, lives: int) -> None:
        self._lives -= 1
        if self._lives == lives:
            raise KilledError


def test_killed_anywhere_it_goes_on_the_next_time_and_loses_nothing_in_use(
    run: Collect,
    left: set[str],
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    """Each round is killed one thing later than the one before, so all of them together finish."""

    def begin() -> AbstractContextManager[Session]:
        return database.transaction(scope)

    killed = 0
    for lives in range(1, 100):
        mortal: Any = Mortal(storage, begin, lives)
        moment: datetime = now() + WHEN_ALL_IS_LEFT
        try:
            collect(mortal.step, mortal, scope.id, now=moment, on_folder=lambda: None)
        except KilledError:
            killed += 1
            assert left <= keys(storage, root)
        else:
            break
    assert killed > 5
    assert told(run(later=WHEN_ALL_IS_LEFT)) == (0, 0, 0, 0)
    assert left <= keys(storage, root)
    assert list(storage.list_uploads(f"{root}/")) == []


def test_what_the_store_does_not_delete_is_counted_and_the_rest_goes(
    run: Collect, storage: Storage, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn, other = (f"{root}/{new_id()}" for _ in range(2))
    write(storage, f"{stubborn}/original", f"{other}/original")
    delete_prefix = storage.delete_prefix

    def refuse(prefix: str) -> None:
        if prefix == f"{stubborn}/":
            raise StorageUnavailable("busy")
        delete_prefix(prefix)

    monkeypatch.setattr(storage, "delete_prefix", refuse)
    made = run()
    assert (told(made), made.failed) == ((1, 0, 0, 10), 1)
    monkeypatch.undo()
    assert told(run()) == (1, 0, 0, 10)


def test_what_a_copy_is_just_about_to_refer_to_stays(
    run: Collect,
    uploader: Any,
    lesson: DraftLesson,
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    media_file = uploader.upload(PDF)
    asset_id = asset_of(database, scope, media_file)
    forget_file(database, scope, media_file)
    with ThreadPoolExecutor(1) as thread:
        with database.transaction(scope) as session:
            session.add(
                MediaFile(id=new_id(), lesson_id=lesson.id, asset_id=asset_id, file_name="a.pdf")
            )
            session.flush()
            running = thread.submit(run)
            wait_until_blocked(database, scope.id, running)
        assert told(running.result(timeout=10)) == (0, 0, 0, 0)
    assert exists(database, scope, asset_id)
    assert keys(storage, f"{root}/{asset_id}") == {f"{root}/{asset_id}/original"}


def test_a_file_that_is_copied_and_dropped_again_and_again_is_never_missed(
    run: Collect,
    uploader: Any,
    lesson: DraftLesson,
    teacher: Person,
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    root: str,
) -> None:
    """Its one use moves from lesson to lesson, each a copy of the one before."""
    asset_id = asset_of(database, scope, uploader.upload(PDF))
    done = Event()

    def collect_all_the_time() -> int:
        rounds = 0
        while not done.is_set():
            run()
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as thread:
        collecting_too = thread.submit(collect_all_the_time)
        try:
            here = lesson.id
            for _ in range(40):
                with database.transaction(scope) as session:
                    copy = duplicate_lesson(session, teacher.actor, here).id
                with database.transaction(scope) as session:
                    assert content.delete_lesson(session, teacher.actor, here, expected=None) == []
                here = copy
        finally:
            done.set()
        assert collecting_too.result(timeout=10) > 0
    assert exists(database, scope, asset_id)
    assert storage.read(f"{root}/{asset_id}/original") == PDF


def test_what_is_published_while_it_looks_stays(
    run: Collect,
    converted: tuple[str, UUID],
    database: Database,
    scope: OrganizationScope,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the statement that reads what is named and the one that reads what is open."""
    folder, job_id = converted
    written = f"{folder}/renditions/{job_id}/attempt-1/360p.mp4"
    write(storage, written)
    execute = Session.execute
    published: list[bool] = []

    def publish_in_between(self: Session, statement: Any, *args: Any, **kwargs: Any) -> Any:
        if "FROM videos JOIN transcoding_jobs" in str(statement) and not published:
            published.append(True)
            with database.transaction(scope) as other:
                job = other.get_one(TranscodingJob, job_id)
                job.state, job.finished_at = "succeeded", now() + 2 * DAY
        return execute(self, statement, *args, **kwargs)

    monkeypatch.setattr(Session, "execute", publish_in_between)
    assert told(run()) == (0, 0, 0, 0)
    assert published
    assert written in keys(storage, folder)


def test_it_takes_as_many_statements_for_many_folders_as_for_one(
    run: Collect, storage: Storage, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    find = collecting.leftovers.find_references

    def counted(session: Session, asset_ids: Any, **options: Any) -> Any:
        looked.append(len(asset_ids))
        return find(session, asset_ids, **options)

    monkeypatch.setattr(collecting.leftovers, "find_references", counted)
    write(storage, *(f"{root}/{new_id()}/original" for _ in range(collecting.AT_ONCE)))
    assert run().counts["file"] == collecting.AT_ONCE
    assert len(looked) <= 2


def test_workers_do_it_once_a_day(
    run_jobs: Callable[..., None],
    database: Database,
    acme: UUID,
    storage: Storage,
    root: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = f"{root}/{new_id()}"
    write(storage, f"{folder}/original")
    with database.transaction(PLATFORM) as session:
        enqueue_for(session, COLLECT_MEDIA, {acme: now()})
    monkeypatch.setattr("jobs.housekeeping.clock.now", lambda: now() + 2 * DAY)
    run_jobs(acme)
    assert keys(storage, folder) == set()
