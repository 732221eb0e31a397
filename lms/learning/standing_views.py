"""How learners get on, over HTTP: the learners of a run, and the runs of a learner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.core.pagination import Page
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.learning import standings, transcripts
from lms.learning.standing_schemas import (
    LEARNER_PROGRESS_EXAMPLE,
    TRANSCRIPT_ENTRY_EXAMPLE,
    LearnerProgressOut,
    RunProgressQuery,
    TranscriptEntryOut,
)
from lms.learning.standings import Standing
from lms.learning.transcripts import TranscriptEntry

blp = TenantBlueprint(
    "Progress",
    __name__,
    description="How learners get on: those of one run, and one learner over all runs.",
)


@blp.operation(
    "GET",
    "/runs/<uuid:run_id>/progress",
    id="listRunProgress",
    query=RunProgressQuery,
    returns=LearnerProgressOut,
    paged=True,
    roles=STAFF,
    example={"items": [LEARNER_PROGRESS_EXAMPLE], "next_cursor": None},
)
def list_run_progress(call: Call, run_id: UUID, query: dict[str, Any]) -> Page[Standing]:
    """List how the learners of a run get on, in the order they enrolled.

    For those who teach it, and admins; 404 for instructors who do not teach it. Enrollments in
    every state, also ended ones, but for attempts that ended before they were ever active: a
    payment that was declined, for example. `state` picks some, and `inactive_since` those whom to
    remind: enrolled before that moment and still in the run, without any activity from then on.
    Lessons that staff mark as complete are not taken for activity.
    """
    return standings.run_standings(call.session, call.actor, run_id, **query)


@blp.operation(
    "GET",
    "/me/transcript",
    id="getMyTranscript",
    returns=TranscriptEntryOut,
    paged=True,
    example={"items": [TRANSCRIPT_ENTRY_EXAMPLE], "next_cursor": None},
)
def get_my_transcript(call: Call, query: dict[str, Any]) -> Page[TranscriptEntry]:
    """List your enrollments in all runs with what came of them, newest first.

    In every state, also ended ones and earlier attempts, but for attempts that ended before they
    were ever active.
    """
    return transcripts.own_transcript(call.session, call.actor, **query)


@blp.operation(
    "GET",
    "/users/<uuid:user_id>/transcript",
    id="getUserTranscript",
    returns=TranscriptEntryOut,
    paged=True,
    roles=STAFF,
    example={"items": [TRANSCRIPT_ENTRY_EXAMPLE], "next_cursor": None},
)
def get_user_transcript(call: Call, user_id: UUID, query: dict[str, Any]) -> Page[TranscriptEntry]:
    """List a learner's enrollments with what came of them, newest first.

    As the learner sees them. Admins see all of them. Instructors see those in runs that they teach;
    a learner who is in none of these is 404.
    """
    return transcripts.transcript_of(call.session, call.actor, user_id, **query)
