"""One conversion of a lesson's video, for those who teach the course."""

from __future__ import annotations

import json
from uuid import UUID

from flask import Response

from lms.courses.videos import taught_transcoding_job
from lms.http.blueprint import EVENT_STREAM, STAFF, TenantBlueprint
from lms.http.call import Call
from lms.http.event_streams import Event, EventStreams
from lms.media import transcoding
from lms.media.models import TranscodingJob
from lms.media.schemas import TranscodingJobOut

blp = TenantBlueprint(
    "Conversions",
    __name__,
    description="How the conversion of a video goes, and ending it.",
)
TOLD = TranscodingJobOut()
JOB = "/transcoding-jobs/<uuid:transcoding_job_id>"
EVENT = {
    "id": "running-1-40",
    "event": "progress",
    "data": '{"id": "0193a1c2-7f00-7000-8000-000000000001", "state": "running", "progress": 40}',
}


@blp.operation("GET", JOB, id="getTranscodingJob", returns=TranscodingJobOut, roles=STAFF)
def get_transcoding_job(call: Call, transcoding_job_id: UUID) -> TranscodingJob:
    """Get a conversion.

    For those who teach a course with its video. `failed` with `error_code` `cancelled` is one that
    somebody ended.
    """
    return taught_transcoding_job(call.session, call.actor, transcoding_job_id)


@blp.operation(
    "POST",
    f"{JOB}/cancel",
    id="cancelTranscodingJob",
    returns=TranscodingJobOut,
    roles=STAFF,
    refusals=(409,),
)
def cancel_transcoding_job(call: Call, transcoding_job_id: UUID) -> TranscodingJob:
    """Cancel a conversion.

    For those who teach a course with its video. It is `failed` with `error_code` `cancelled` at
    once, publishes nothing, and its worker stops encoding within seconds. What plays keeps playing,
    and the video can be converted again at once. A cancelled one stays as it is; 409
    `transcoding_ended` for one that has succeeded or failed.
    """
    job = taught_transcoding_job(call.session, call.actor, transcoding_job_id)
    return transcoding.cancel(call.session, call.actor, job.id)


@blp.operation(
    "GET",
    f"{JOB}/events",
    id="followTranscodingJob",
    roles=STAFF,
    transaction="steps",
    content_type=EVENT_STREAM,
    responses={204: "You have seen its end: stop connecting again."},
    headers={"Last-Event-ID": "`id` of the event that was seen last; browsers send it."},
    example=EVENT,
)
def follow_transcoding_job(call: Call, transcoding_job_id: UUID) -> Response:
    """Follow a conversion by server-sent events.

    For those who teach a course with its video. `progress` and at last `ended` carry a
    `TranscodingJobOut`: the first comes at once, the others when something has changed, and between
    them are comments. The stream ends with `ended`, and after two minutes: connect again. Few are
    open at the same time: 503 `streams_busy` beyond, then poll `getTranscodingJob` instead. A
    browser's own EventSource sends no `Authorization`: use a client over fetch.
    """

    def look() -> Event:
        with call.transaction() as session:
            return _event(taught_transcoding_job(session, call.actor, transcoding_job_id))

    last_seen = call.request.headers.get("Last-Event-ID")
    streams = call.use(EventStreams)
    return streams.follow(look, organization_id=call.organization_id, last_seen=last_seen)


def _event(job: TranscodingJob) -> Event:
    has_ended = job.state not in transcoding.OPEN
    return Event(
        id=f"{job.state}-{job.attempt}-{job.progress}",
        name="ended" if has_ended else "progress",
        data=json.dumps(TOLD.dump(job)),
        is_last=has_ended,
    )
