"""Routes by which staff mark lessons as complete."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.learning import marks
from lms.learning.mark_schemas import LessonMarkIn, LessonMarkOut, LessonMarksIn, LessonMarksOut
from lms.learning.marks import Mark

MARKED: dict[str, Any] = {
    "enrollment_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
    "outcome": "marked",
    "code": None,
    "message": None,
    "completed_at": "2027-01-12T09:00:00Z",
    "completed_how": "marked_by_staff",
    "enrollment": {"state": "active", "percent": 50, "completed_at": None},
}
REFUSED: dict[str, Any] = {
    "enrollment_id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c34",
    "outcome": "refused",
    "code": "not_found",
    "message": "There is no such enrollment in this run.",
    "completed_at": None,
    "completed_how": None,
    "enrollment": None,
}

blp = TenantBlueprint(
    "Lesson marks",
    __name__,
    description="Lessons that staff mark as complete for learners: attendance, work on paper.",
)


@blp.operation(
    "PUT",
    "/enrollments/<uuid:enrollment_id>/lessons/<uuid:lesson_id>/completion",
    id="markLessonComplete",
    body=LessonMarkIn,
    returns=LessonMarkOut,
    roles=STAFF,
    refusals=(409,),
    example=MARKED,
)
def mark_lesson(call: Call, body: dict[str, Any], enrollment_id: UUID, lesson_id: UUID) -> Mark:
    """Mark a learner's lesson as complete.

    For those who teach the run, and admins; 404 for others. Any lesson of the learner's version,
    whatever its completion rule and whether or not it is open yet; `lesson_id` may be the same
    lesson's in another version of the course. It is on record with your reason, cannot be taken
    back, and marking again changes nothing. With the last required lesson the enrollment is
    completed. 409 `enrollment_not_active` when it is neither active nor completed,
    `lesson_of_another_version` when the learner's version does not have the lesson,
    `run_state_not_allowed` when the run is cancelled.
    """
    return marks.mark_complete(call.session, call.actor, enrollment_id, lesson_id, **body)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/lessons/<uuid:lesson_id>/completions",
    id="markLessonCompleteForMany",
    body=LessonMarksIn,
    returns=LessonMarksOut,
    roles=STAFF,
    refusals=(409,),
    example={"items": [MARKED, REFUSED]},
)
def mark_lesson_for_many(
    call: Call, body: dict[str, Any], run_id: UUID, lesson_id: UUID
) -> dict[str, list[Mark]]:
    """Mark a lesson as complete for many learners of a run: who attended a live session.

    For those who teach the run, and admins; 404 for others. At most 500 enrollments at once, each
    as if it was marked alone. One that cannot be marked is `refused` with its `code` and holds up
    nobody else. 409 `run_state_not_allowed` when the run is cancelled.
    """
    marked = marks.mark_complete_for_many(call.session, call.actor, run_id, lesson_id, **body)
    return {"items": marked}
