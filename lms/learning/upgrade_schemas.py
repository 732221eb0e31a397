"""Upgrades of runs, in and out."""

from __future__ import annotations

from typing import Any, get_args

import marshmallow as ma
from marshmallow import validate

from lms.courses.learners import UNFINISHED_STATES
from lms.courses.schemas.diffs import DIFF_EXAMPLE, ContentChangesOut
from lms.http.schemas import Boolean, Schema, Text
from lms.learning.upgrades import MOST_EFFECTS, Policy

POLICIES = get_args(Policy)


class RunUpgradeIn(Schema):
    """To which version, and who goes along."""

    target_version_id = ma.fields.UUID(
        required=True,
        metadata={"description": "A published version of the course, newer than the run's."},
    )
    policy = ma.fields.String(
        required=True,
        validate=validate.OneOf(POLICIES),
        metadata={
            "description": "`all`: everybody who has not completed. `not_started`: of them, those"
            " without any progress.",
            "example": "not_started",
        },
    )
    dry_run = Boolean(
        load_default=False,
        metadata={"description": "Change nothing; only tell what it would do.", "example": True},
    )


class UpgradedVersionOut(Schema):
    """A version of the run's course."""

    id = ma.fields.UUID(required=True)
    number = ma.fields.Integer(required=True)


class UpgradeCountsOut(Schema):
    """How many enrollments of the run it does what to."""

    moving = ma.fields.Integer(
        required=True, metadata={"description": "Go over to the target version."}
    )
    staying = ma.fields.Integer(
        required=True, metadata={"description": "Stay in their version by the policy."}
    )
    completed = ma.fields.Integer(
        required=True, metadata={"description": "Were completed before, and never move."}
    )
    completing = ma.fields.Integer(
        required=True, metadata={"description": "Of those that move: are completed by it."}
    )
    falling = ma.fields.Integer(
        required=True, metadata={"description": "Of those that move: have a lower percent then."}
    )
    rising = ma.fields.Integer(
        required=True, metadata={"description": "Of those that move: have a higher percent then."}
    )


class UpgradeEffectOut(Schema):
    """What it does to one enrollment."""

    enrollment_id = ma.fields.UUID(required=True)
    user_id = ma.fields.UUID(required=True)
    state = ma.fields.String(
        required=True,
        validate=validate.OneOf(UNFINISHED_STATES),
        metadata={"description": "Before the upgrade."},
    )
    percent_before = ma.fields.Integer(required=True)
    percent_after = ma.fields.Integer(required=True)
    completes = ma.fields.Boolean(
        required=True, metadata={"description": "It is completed by the upgrade."}
    )


class RunUpgradeOut(Schema):
    """An upgrade of a run, made or, as `dry_run`, only tried."""

    run_id = ma.fields.UUID(required=True)
    dry_run = ma.fields.Boolean(required=True)
    policy = ma.fields.String(required=True, validate=validate.OneOf(POLICIES))
    from_version = ma.fields.Nested(
        UpgradedVersionOut,
        required=True,
        metadata={"description": "The run's version before the upgrade."},
    )
    to_version = ma.fields.Nested(UpgradedVersionOut, required=True)
    diff = ma.fields.Nested(
        ContentChangesOut,
        required=True,
        metadata={"description": "What changed from the one version to the other."},
    )
    counts = ma.fields.Nested(UpgradeCountsOut, required=True)
    effects = ma.fields.List(
        ma.fields.Nested(UpgradeEffectOut),
        required=True,
        metadata={
            "description": f"Of those that move, the first {MOST_EFFECTS} in the order in which"
            " they enrolled."
        },
    )


UPGRADE_EXAMPLE: dict[str, Any] = {
    "run_id": "01935b90-2b3c-7d4e-8f50-617283940a5b",
    "dry_run": True,
    "policy": "all",
    "from_version": {"id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33", "number": 2},
    "to_version": {"id": "01935ba2-77c1-7e55-a0b1-2c3d4e5f6071", "number": 3},
    "diff": {name: DIFF_EXAMPLE[name] for name in ("magnitude", "modules", "lessons")},
    "counts": {
        "moving": 1,
        "staying": 0,
        "completed": 4,
        "completing": 0,
        "falling": 1,
        "rising": 0,
    },
    "effects": [
        {
            "enrollment_id": "0193a1c2-7f00-7000-8000-000000000003",
            "user_id": "0193a1c2-7f00-7000-8000-000000000002",
            "state": "active",
            "percent_before": 50,
            "percent_after": 40,
            "completes": False,
        }
    ],
}


class TransferIn(Schema):
    """Where a learner goes on."""

    run_id = ma.fields.UUID(
        required=True, metadata={"description": "Another run of the same course."}
    )
    reason = Text(
        required=True,
        metadata={
            "description": "For the audit log; without personal data.",
            "example": "Moved to the evening cohort.",
        },
    )
