"""Twin organizations: the same ids on both sides, a canary of its own on each."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from flask import Flask

from lms.core.ids import new_id
from lms.http.auth import issue_tokens
from lms.payments.models import PaymentAccount
from tenants.models import TranscodingSettings
from tenants.session import Database, OrganizationScope
from tests.factories.twins import Side, TwinIds, World, furnish, settle, sign_in


def _account(canary: str) -> PaymentAccount:
    """An account at a provider, whose secrets nobody can read here."""
    return PaymentAccount(
        provider="stripe", publishable_key=canary, secret_key="-", webhook_secret="-"
    )


@pytest.fixture(scope="module")
def world(app: Flask, database: Database, make_organization: Callable[..., UUID]) -> World:
    shared, acme_only = TwinIds(), TwinIds()
    word = new_id().hex[-10:]
    sides = {}
    for name, mark in (("acme", 7_100_003), ("globex", 8_200_007)):
        organization = make_organization(f"{name}-{word}")
        canary = f"canary{name}{word}"
        scope = OrganizationScope(organization)
        tokens = {}
        with database.transaction(scope) as session:
            furnish(session, shared, canary, organization, mark=mark)
            settle(session, shared, canary, mark=mark)
            session.add(_account(canary))
            session.add(TranscodingSettings(organization_id=organization, version=mark))
            if name == "acme":
                furnish(session, acme_only, canary + "only", organization)
                settle(session, acme_only, canary + "only")
            for role, user_id in (
                ("student", shared.user_id),
                ("instructor", shared.instructor_id),
                ("admin", shared.admin_id),
            ):
                session_id, refresh_id = sign_in(session, user_id)
                with app.app_context():
                    issued = issue_tokens(scope, user_id, session_id, refresh_id)
                tokens[role] = issued["access_token"]
                tokens[f"{role} refresh"] = issued["refresh_token"]
        sides[name] = Side(f"{name}-{word}.localhost", canary, mark, tokens)
    return World(sides["acme"], sides["globex"], shared, acme_only)
