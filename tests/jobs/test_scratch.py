"""Scratch directories: one's own while it lasts, gone afterwards, even after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.scratch import NEWBORN_SECONDS, PREFIX, scratch


def age(folder: Path) -> None:
    stamp = folder.stat().st_mtime - NEWBORN_SECONDS - 1
    os.utime(folder, (stamp, stamp))


def test_a_scratch_directory_is_removed_with_all_in_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="broken"), scratch(tmp_path / "made") as folder:
        (folder / "inner").mkdir()
        raise OSError("broken")
    assert list((tmp_path / "made").iterdir()) == []


def test_what_a_dead_worker_left_is_removed_and_what_a_living_one_uses_is_kept(
    tmp_path: Path,
) -> None:
    abandoned = tmp_path / f"{PREFIX}dead"
    abandoned.mkdir()
    (abandoned / "original").write_bytes(b"x")
    age(abandoned)
    with scratch(tmp_path) as living:
        age(living)
        with scratch(tmp_path):
            assert living.is_dir()
            assert not abandoned.exists()
