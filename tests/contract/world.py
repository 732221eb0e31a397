"""A sample world for contract tests: one of everything, and people signed in.

Whoever sends thousands of requests ends sign-ins, deletes lessons and refunds payments. The world
is then furnished again under fresh ids, in the same organization, so that requests go on finding
something to talk about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import text

from lms.config import Settings
from lms.core.clock import now
from lms.core.ids import new_id
from lms.core.storage.base import Storage
from lms.http.auth import issue_tokens
from lms.learning.playback import PlaybackLink, PlaybackSigner
from lms.platform import accounts
from tenants.models import Work
from tenants.session import PLATFORM, Database, OrganizationScope
from tests.factories.accounts import make_super_admin, password_hash
from tests.factories.twins import TwinIds, furnish, settle, sign_in

PLATFORM_HOST = "admin.localhost"
PART_BYTES = 10

USING_UP = frozenset(
    {
        *("logout", "refreshTokens", "acceptInvitation", "updateUser"),
        *("deleteCourse", "deleteModule", "deleteLesson", "deleteMediaFile", "setContentOrder"),
        *("publishCourseVersion", "archiveCourseVersion", "createTranscodingJob", "replaceLesson"),
        *("enrollInRun", "withdrawEnrollment", "refundPayment", "completeMediaFile", "retryJob"),
        *("suspendOrganization", "suspendEnrollment", "updateRun", "cancelRun"),
        *("duplicateModule", "duplicateLesson", "deleteVideoCaption"),
    }
)
"""Operations whose success leaves the world poorer for the requests after it."""


@dataclass
class SampleWorld:
    """One organization with one of everything, and a super-admin.

    Attributes:
        app: what is tested.
        settings: its settings.
        database: for furnishing.
        organization_id: the organization whose host is called.
        slug: its slug.
        other_id: another organization, which super-admins suspend and change.
        ids: ids of the present rows.
        tokens: access tokens by account type, also `super_admin`.
        known: path parameters of the present rows.
        super_admin: the super-admin's e-mail.
    """

    app: Flask
    settings: Settings
    database: Database
    organization_id: UUID
    slug: str
    other_id: UUID
    ids: TwinIds = field(default_factory=TwinIds)
    tokens: dict[str, str] = field(default_factory=dict[str, str])
    known: dict[str, str] = field(default_factory=dict[str, str])
    super_admin: str = ""

    @property
    def host(self) -> str:
        """The organization's host."""
        return f"{self.slug}.localhost"

    def renew(self) -> None:
        """Furnish the world anew, and sign everybody in."""
        self.ids = ids = TwinIds()
        canary = f"w{new_id().hex[-12:]}"
        scope = OrganizationScope(self.organization_id)
        sessions: dict[str, tuple[UUID, UUID, UUID]] = {}
        with self.database.transaction(scope) as session:
            furnish(session, ids, canary, self.organization_id)
            settle(session, ids, canary)
            for kind, user_id in (
                ("student", ids.user_id),
                ("instructor", ids.instructor_id),
                ("admin", ids.admin_id),
            ):
                sessions[kind] = (user_id, *sign_in(session, user_id))
            session.execute(
                text("UPDATE users SET password_hash = :hash WHERE id = ANY (:ids)"),
                {"hash": password_hash(), "ids": [ids.user_id, ids.instructor_id, ids.admin_id]},
            )
        with self.app.app_context():
            for kind, (user_id, session_id, refresh_id) in sessions.items():
                issued = issue_tokens(scope, user_id, session_id, refresh_id)
                self.tokens[kind] = issued["access_token"]
                self.tokens[f"{kind} refresh"] = issued["refresh_token"]
        self._sign_super_admin_in()
        self.known = {name: str(value) for name, value in ids.as_dict().items()}
        self.known |= self._signed_addresses()
        self.known |= {
            "organization_id": str(self.other_id),
            "job_id": str(self._failed_work()),
            "transcoding_job_id": str(ids.job_id),
            "label": "720p",
            "provider_name": "sandbox",
        }

    def path_parameter(self, name: str, operation_id: str) -> str | None:
        """Return the value under which an operation finds something, None for an unknown name."""
        if name == "version_id" and operation_id in DRAFTS_ONLY:
            return str(self.ids.draft_id)
        if name == "token":
            return self.known[TOKENS[operation_id]]
        if name == "user_id":
            return str(self.ids.instructor_id)
        return self.known.get(name)

    def _sign_super_admin_in(self) -> None:
        self.super_admin = self.super_admin or make_super_admin(self.database)
        with self.database.transaction(PLATFORM) as session:
            credentials = accounts.find_credentials(session, self.super_admin)
            assert credentials is not None
            actor = accounts.start_session(session, credentials, lifetime=86_400)
        with self.app.app_context():
            issued = issue_tokens(PLATFORM, actor.admin_id, actor.session_id, new_id())
        self.tokens["super_admin"] = issued["access_token"]

    def _signed_addresses(self) -> dict[str, str]:
        storage: Any = self.app.extensions["edge"].services.get(Storage)
        root = f"o/{self.organization_id}/{self.ids.asset_id}"
        storage.write(f"{root}/original", b"0123456789", content_type="video/mp4")
        storage.write(
            f"{root}/720p.m3u8",
            b'#EXTM3U\n#EXT-X-MAP:URI="720p.mp4",BYTERANGE="5@0"\n#EXTINF:4.0,\n'
            b"#EXT-X-BYTERANGE:5@5\n720p.mp4\n#EXT-X-ENDLIST\n",
            content_type="application/vnd.apple.mpegurl",
        )
        storage.write(
            f"{root}/thumbnails.vtt",
            b"WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nthumbnails.jpg#xywh=0,0,160,90\n",
            content_type="text/vtt",
        )
        day = timedelta(days=1)
        upload = storage.begin_upload(
            f"{root}/part", size=PART_BYTES, content_type="application/pdf"
        )
        parts = storage.upload_parts(
            f"{root}/part", upload, size=PART_BYTES, expires_in=day, base_url=""
        )
        link = PlaybackLink(
            self.organization_id,
            self.ids.video_id,
            self.ids.user_id,
            now().replace(microsecond=0) + day,
        )
        read_url = storage.signed_url(f"{root}/original", expires_in=day, base_url="")
        return {
            "read token": read_url.rpartition("/")[2],
            "write token": parts[0].url.rpartition("/")[2],
            "playback token": PlaybackSigner(self.settings.secret_key).sign(link),
        }

    def _failed_work(self) -> UUID:
        work_id = new_id()
        with self.database.transaction(PLATFORM) as session:
            session.add(
                Work(
                    id=work_id,
                    organization_id=self.organization_id,
                    queue="default",
                    kind="media.delete",
                    subject_id=new_id(),
                    state="failed",
                    due_at=now(),
                )
            )
        return work_id


DRAFTS_ONLY = frozenset(
    {
        *("listModules", "createModule", "setContentOrder", "publishCourseVersion"),
        *("listVersionLessons", "diffCourseVersions"),
    }
)
TOKENS = {
    "readFile": "read token",
    "writeFilePart": "write token",
    "getMasterPlaylist": "playback token",
    "getRenditionPlaylist": "playback token",
    "getThumbnails": "playback token",
    "getCaptionPlaylist": "playback token",
    "getCaptionTrack": "playback token",
}


def make_world(
    app: Flask,
    settings: Settings,
    database: Database,
    make_organization: Callable[..., UUID],
) -> SampleWorld:
    """Provision an organization of its own and furnish it."""
    slug = f"contract-{new_id().hex[-12:]}"
    world = SampleWorld(app, settings, database, make_organization(slug), slug, make_organization())
    world.renew()
    return world


def authorization(world: SampleWorld, role: str | None) -> dict[str, str]:
    """Return the headers with which a role speaks; None is nobody."""
    return {} if role is None else {"Authorization": f"Bearer {world.tokens[role]}"}
