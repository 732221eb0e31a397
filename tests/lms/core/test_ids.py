from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

from lms.core.clock import now
from lms.core.ids import derived_id, new_id

AT = datetime(2027, 1, 18, 8, tzinfo=UTC)


def test_a_derived_id_is_the_same_for_the_same_and_another_for_anything_else() -> None:
    subject_id = new_id()
    assert derived_id(AT, subject_id) == derived_id(AT, subject_id)
    assert derived_id(AT, subject_id) != derived_id(AT, new_id())
    assert derived_id(AT, subject_id) != derived_id(AT + timedelta(seconds=1), subject_id)


def test_a_derived_id_is_a_uuid_of_version_7() -> None:
    for _ in range(100):
        made = derived_id(now(), new_id())
        assert (made.version, made.variant) == (7, RFC_4122)


def test_a_derived_id_stands_among_the_others_where_its_moment_is() -> None:
    before = new_id()
    assert before < derived_id(now() + timedelta(seconds=1), new_id())
    assert derived_id(now() - timedelta(seconds=1), new_id()) < new_id()
