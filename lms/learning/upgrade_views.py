"""Routes of upgrading runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from lms.http.blueprint import STAFF, TenantBlueprint
from lms.http.call import Call
from lms.learning.upgrade_schemas import UPGRADE_EXAMPLE, RunUpgradeIn, RunUpgradeOut
from lms.learning.upgrades import Upgrade, upgrade_run

blp = TenantBlueprint(
    "Run upgrades",
    __name__,
    description="Moving a run and its learners to a newer version of the course.",
)


@blp.operation(
    "POST",
    "/runs/<uuid:run_id>/upgrade",
    id="upgradeRun",
    body=RunUpgradeIn,
    returns=RunUpgradeOut,
    roles=STAFF,
    etag=True,
    if_match="optional",
    refusals=(409,),
    example=UPGRADE_EXAMPLE,
)
def upgrade(call: Call, body: dict[str, Any], run_id: UUID) -> Upgrade:
    """Upgrade a run to a newer version of its course.

    For those who teach the course and for admins. With `dry_run` nothing changes, and the answer
    tells what would, and what changed between the versions (`diff`). Who enrolls from then on gets
    the new version. Of those in the run, everybody who has not completed goes along, or with the
    policy `not_started` those without any progress; completed enrollments stay in their version,
    with its percent and date. Progress is carried by lesson lineage: lessons that were done stay
    done, removed ones do not count any more, added ones are to be done yet. An active enrollment
    that is at 100 percent by it is completed. Those who move find other lesson ids in their
    content: read its outline again. Give the run's own version to move who stayed behind in an
    older one. The ETag is the run's. 409 `version_not_published` when the target is not a published
    version of the course, `version_not_newer` when it is older than the run's, or the run and
    everybody in it have it already, `run_state_not_allowed` when the run is cancelled.
    """
    return upgrade_run(call.session, call.actor, run_id, **body, expected=call.expected_version())
