"""`lms media collect`: what it prints, and what it leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result

from lms.core.ids import new_id
from lms.core.storage.base import StorageUnavailable
from lms.core.storage.local import LocalStorage

Run = Callable[..., Result]
SECRET = "0123456789abcdef0123456789abcdef-cli"


@pytest.fixture
def slug() -> str:
    return f"media-{new_id().hex[-12:]}"


@pytest.fixture
def organization_id(make_organization: Callable[..., UUID], slug: str) -> UUID:
    return make_organization(slug)


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path, SECRET.encode())


@pytest.fixture
def collect(run: Run, tmp_path: Path) -> Run:
    """Run the command over a store of this test's own."""

    def invoke(*words: str, **environment: str) -> Result:
        settings = {
            "SECRET_KEY": SECRET,
            "REDIS_URL": "redis://localhost:1",
            "STORAGE_PATH": str(tmp_path),
        }
        return run("media", "collect", *words, **{**settings, **environment})

    return invoke


@pytest.fixture
def left(storage: LocalStorage, organization_id: UUID) -> str:
    """A file of two days ago that no row knows."""
    key = f"o/{organization_id}/{new_id()}/original"
    storage.write(key, b"x" * 1234, content_type="video/mp4")
    long_ago = time.time() - 2 * 24 * 3600
    os.utime(storage.path(key), (long_ago, long_ago))
    return key


def there(storage: LocalStorage, key: str) -> bool:
    return key in {one.key for one in storage.list_objects("o/")}


def test_it_says_what_it_collected_of_an_organization(
    collect: Run, slug: str, storage: LocalStorage, left: str
) -> None:
    result = collect(slug)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"{'ORGANIZATION':{len(slug)}}  FILES  CONVERSIONS  UPLOADS  BYTES",
        f"{slug}  1      0            0        1234",
        "Collected: 1234 bytes.",
    ]
    assert not there(storage, left)


def test_a_dry_run_says_the_same_and_deletes_nothing(
    collect: Run, slug: str, storage: LocalStorage, left: str
) -> None:
    result = collect(slug, "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "Would be collected: 1234 bytes."
    assert there(storage, left)


def test_without_a_name_it_visits_every_organization(
    collect: Run,
    slug: str,
    make_organization: Callable[..., UUID],
    storage: LocalStorage,
    left: str,
) -> None:
    other = f"media-{new_id().hex[-12:]}"
    make_organization(other)
    result = collect()
    # Other tests leave organizations behind whose schemas are not served; those are named there.
    assert slug not in result.stderr
    assert other not in result.stderr
    named = [line.split()[0] for line in result.stdout.splitlines()]
    assert slug in named
    assert other in named
    assert not there(storage, left)


def test_what_cannot_be_deleted_is_told_and_the_exit_status_says_so(
    collect: Run, slug: str, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: LocalStorage, prefix: str) -> None:
        raise StorageUnavailable(f"cannot write {prefix}")

    monkeypatch.setattr(LocalStorage, "delete_prefix", refuse)
    result = collect(slug)
    assert result.exit_code == 1
    assert f"{slug}: 1 could not be deleted; see the log." in result.stderr
    assert left


def test_an_unknown_organization_or_a_store_that_is_not_named_is_told_in_one_line(
    collect: Run, slug: str, organization_id: UUID
) -> None:
    del organization_id
    unknown = collect("nobody-has-this-slug")
    assert unknown.exit_code == 1
    assert unknown.stderr.count("\n") == 1
    nowhere = collect(slug, STORAGE_PATH="")
    assert nowhere.stderr == "Error: Set STORAGE_PATH (local files) or S3_BUCKET\n"
