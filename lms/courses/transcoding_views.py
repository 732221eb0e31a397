"""One conversion of a lesson's video, for those who teach the course."""

from __future__ import annotations

from uuid import UUID

from lms.courses.videos import taught_transcoding_job
from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.media import transcoding
from lms.media.models import TranscodingJob
from lms.media.schemas import TranscodingJobOut

blp = TenantBlueprint(
    "Conversions",
    __name__,
    description="How the conversion of a video goes, and ending it.",
)
JOB = "/transcoding-jobs/<uuid:transcoding_job_id>"


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
    once, publishes nothing, and its worker stops within seconds. What plays keeps playing, and the
    video can be converted again at once. A cancelled one stays as it is; 409 `transcoding_ended`
    for one that has succeeded or failed.
    """
    job = taught_transcoding_job(call.session, call.actor, transcoding_job_id)
    return transcoding.cancel(call.session, call.actor, job.id)
