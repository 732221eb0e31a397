"""Asking for work by name: a row in the business transaction, a ring after the commit.

PostgreSQL is the ledger, Redis the doorbell. Nothing here imports the workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID

import redis
import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from lms.core.ids import new_id
from tenants.session import on_commit, organization_of

log = structlog.get_logger()

TRANSCODE_VIDEO = "transcode_video"
CHECK_UPLOAD = "check_upload"
EXPIRE_ENROLLMENT = "expire_enrollment"
SETTLE_PAYMENT = "settle_payment"
CANCEL_RUN = "cancel_run"
OFFER_SEATS = "offer_seats"
CLOSE_WAITLIST = "close_waitlist"
TAKE_OFFER = "take_offer"
IMPORT_LEARNERS = "import_learners"
ENROLL_INVITED = "enroll_invited"
FORGET_KEYS = "forget_keys"
COLLECT_MEDIA = "collect_media"

QUEUES: dict[str, Literal["media", "default"]] = {
    TRANSCODE_VIDEO: "media",
    CHECK_UPLOAD: "media",
    EXPIRE_ENROLLMENT: "default",
    SETTLE_PAYMENT: "default",
    CANCEL_RUN: "default",
    OFFER_SEATS: "default",
    CLOSE_WAITLIST: "default",
    TAKE_OFFER: "default",
    IMPORT_LEARNERS: "default",
    ENROLL_INVITED: "default",
    FORGET_KEYS: "default",
    COLLECT_MEDIA: "media",
}
DOORBELL = "lms:doorbell"
"""Redis channel on which the dispatcher listens; a lost ring costs one of its ticks, no more."""

INSERT_WORK = text("""
    INSERT INTO platform.work (id, organization_id, queue, kind, subject_id, due_at)
    VALUES (:id, :organization_id, :queue, :kind, :subject_id, COALESCE(:due_at, now()))
    ON CONFLICT (organization_id, kind, subject_id) WHERE state IN ('waiting', 'running')
    DO NOTHING
""")
HASTEN_WORK = text("""
    UPDATE platform.work SET due_at = LEAST(due_at, COALESCE(:due_at, now()))
     WHERE organization_id = :organization_id AND kind = :kind AND subject_id = :subject_id
       AND state = 'waiting'
""")
WITHDRAW_WORK = text("""
    UPDATE platform.work SET state = 'done', finished_at = now()
     WHERE organization_id = :organization_id AND kind = :kind AND subject_id = :subject_id
       AND state = 'waiting'
""")


class Doorbell:
    """Rings the dispatcher. Losing a ring loses nothing: the dispatcher also looks by itself."""

    def __init__(self, redis_url: str) -> None:
        self._redis = redis.Redis.from_url(
            redis_url, socket_connect_timeout=0.5, socket_timeout=0.5
        )

    def ring(self, queue: str) -> None:
        """Tell the dispatcher that a row is due; failures are logged and forgotten."""
        try:
            self._redis.publish(DOORBELL, queue)
        except redis.RedisError as error:
            log.warning("doorbell_not_heard", queue=queue, error=str(error))

    def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            redis.RedisError: when there is none.
        """
        self._redis.ping()


def enqueue(
    session: Session,
    doorbell: Doorbell | None,
    kind: str,
    subject_id: UUID,
    *,
    due_at: datetime | None = None,
) -> None:
    """Ask for work in this transaction; asking twice while it is open changes nothing.

    Args:
        session: the organization's session in which the reason for the work is written.
        doorbell: rung after the commit, when the work is due now. None for rules that have none at
            hand: the dispatcher finds the work at its next look, within about a second.
        kind: one of the names in this module.
        subject_id: id of the row that the work is about; ids are all that a job gets.
        due_at: UTC; now when absent.
    """
    queue = QUEUES[kind]
    session.execute(
        INSERT_WORK,
        {
            "id": new_id(),
            "organization_id": organization_of(session).id,
            "queue": queue,
            "kind": kind,
            "subject_id": subject_id,
            "due_at": due_at,
        },
    )
    if due_at is None and doorbell is not None:
        on_commit(session, doorbell.ring, queue)


def hasten(
    session: Session, kind: str, subject_id: UUID, *, due_at: datetime | None = None
) -> None:
    """Let work that waits come due at an earlier moment; it never comes due later by this.

    Args:
        session: the organization's session.
        kind: one of the names in this module.
        subject_id: id of the row that the work is about; without open work nothing changes.
        due_at: UTC; now when absent.
    """
    values = {
        "organization_id": organization_of(session).id,
        "kind": kind,
        "subject_id": subject_id,
        "due_at": due_at,
    }
    session.execute(HASTEN_WORK, values)


def withdraw(session: Session, kind: str, subject_id: UUID) -> None:
    """Let work that waits end without being done; what is running is left to find out by itself.

    A worker locks its row of work before what it is about: call this before locking that, too.

    Args:
        session: the organization's.
        kind: one of the names in this module.
        subject_id: id of the row that the work is about; without waiting work nothing changes.
    """
    values = {
        "organization_id": organization_of(session).id,
        "kind": kind,
        "subject_id": subject_id,
    }
    session.execute(WITHDRAW_WORK, values)


def enqueue_for(session: Session, kind: str, due_at: Mapping[UUID, datetime]) -> None:
    """Ask for work about whole organizations; what is open already is not asked for twice.

    Args:
        session: the platform's.
        kind: one of the names in this module.
        due_at: by organization, UTC; each organization is the subject of its own work.
    """
    rows = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "queue": QUEUES[kind],
            "kind": kind,
            "subject_id": organization_id,
            "due_at": moment,
        }
        for organization_id, moment in due_at.items()
    ]
    if rows:
        session.execute(INSERT_WORK, rows)
