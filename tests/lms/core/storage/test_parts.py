"""How files are divided into parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lms.core.storage.parts import MAX_SIZE, MIN_PART_SIZE, missing_parts, plan_parts

SIZES = st.integers(0, MAX_SIZE) | st.integers(0, 3 * MIN_PART_SIZE)


@given(SIZES)
def test_parts_cover_a_file_without_gap_or_overlap(size: int) -> None:
    position = 0
    for number, part in enumerate(plan_parts(size), start=1):
        assert (part.number, part.offset) == (number, position)
        position += part.size
    assert position == size


@given(SIZES)
def test_parts_keep_to_the_limits_of_s3(size: int) -> None:
    parts = plan_parts(size)

    assert 1 <= len(parts) <= 10_000
    assert all(part.size >= 5 * 1024**2 for part in parts[:-1])
    assert all(0 < part.size <= 5 * 1024**3 for part in parts) or size == 0


def test_usual_files_have_parts_of_eight_mebibytes() -> None:
    assert {part.size for part in plan_parts(1024**3)} == {8 * 1024**2}


def test_a_part_of_another_size_counts_as_missing() -> None:
    size = 2 * MIN_PART_SIZE + 1

    assert missing_parts(size, {1: MIN_PART_SIZE, 2: 7, 3: 1}) == [2]


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1])
def test_a_size_that_no_store_takes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        plan_parts(size)
