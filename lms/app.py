"""Composition root: builds the Flask app from settings. May import all of lms."""

from __future__ import annotations

from flask import Flask
from sqlalchemy.orm import configure_mappers
from werkzeug.middleware.proxy_fix import ProxyFix

from lms.checkout import (
    approval_views,
    cancellation_views,
    granting_views,
    price_views,
    refund_views,
    webhook_views,
)
from lms.checkout import views as checkout_views
from lms.checkout.imports import views as import_views
from lms.checkout.reconcile import views as reconcile_views
from lms.compose import create_database, create_storage
from lms.config import Settings
from lms.core.encryption import SecretBox
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.coupons import views as coupon_views
from lms.courses import (
    archive_views,
    authoring_views,
    caption_views,
    content_views,
    instructor_views,
    run_views,
    transcoding_views,
    version_views,
    video_views,
)
from lms.courses import media_views as media_file_views
from lms.courses import views as course_views
from lms.enrollments import staff_views as enrollment_staff_views
from lms.enrollments import views as enrollment_views
from lms.http import auth, document, health, logs, problems, requests
from lms.http.auth import Authenticator
from lms.http.blueprint import ApiBlueprint
from lms.http.call import Services
from lms.http.edge import Edge, LmsFlask
from lms.http.event_streams import EventStreams
from lms.learning import caption_views as track_views
from lms.learning import (
    mark_views,
    standing_views,
    thumbnail_views,
    transfer_views,
    upgrade_views,
)
from lms.learning import views as learning_views
from lms.media import settings_views as transcoding_settings_views
from lms.media import views as file_views
from lms.payments import account_views as payment_account_views
from lms.payments import dispute_views, grant_views, receipt_views, statement_views
from lms.payments import staff_views as wallet_views
from lms.payments import views as payment_views
from lms.payments.providers.registry import Providers
from lms.platform import queue_views
from lms.platform import views as platform_views
from lms.platform.accounts import FIND_ADMIN
from lms.users import auth_views
from lms.users import views as user_views
from lms.users.actors import FIND_USER
from tenants import migrator
from tenants.resolver import HostResolver

BLUEPRINTS: tuple[ApiBlueprint, ...] = (
    auth_views.blp,
    user_views.blp,
    course_views.blp,
    instructor_views.blp,
    version_views.blp,
    content_views.blp,
    authoring_views.blp,
    archive_views.blp,
    media_file_views.blp,
    video_views.blp,
    caption_views.blp,
    transcoding_views.blp,
    transcoding_settings_views.blp,
    run_views.blp,
    file_views.blp,
    enrollment_views.blp,
    enrollment_staff_views.blp,
    payment_views.blp,
    receipt_views.blp,
    dispute_views.blp,
    wallet_views.blp,
    grant_views.blp,
    statement_views.blp,
    payment_account_views.blp,
    coupon_views.blp,
    price_views.blp,
    checkout_views.blp,
    granting_views.blp,
    import_views.blp,
    refund_views.blp,
    cancellation_views.blp,
    approval_views.blp,
    webhook_views.blp,
    learning_views.blp,
    thumbnail_views.blp,
    track_views.blp,
    mark_views.blp,
    standing_views.blp,
    upgrade_views.blp,
    transfer_views.blp,
    platform_views.blp,
    queue_views.blp,
    reconcile_views.blp,
)
"""In the order in which the documents show them."""


def create_app(settings: Settings) -> Flask:
    """Build the app.

    Args:
        settings: everything that differs between installations.

    Returns:
        A WSGI application that serves organizations' hosts and the platform host. Nothing is
        connected until the first request.
    """
    logs.configure(settings.log_format)
    app = LmsFlask(__name__, static_folder=None, template_folder="http/templates")
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)
    auth.configure(
        app,
        secret_key=settings.secret_key,
        access_seconds=settings.access_token_seconds,
        refresh_seconds=settings.refresh_token_seconds,
    )
    database, storage = create_database(settings), create_storage(settings)
    doorbell = Doorbell(settings.redis_url)
    app.edge = Edge(
        database,
        HostResolver(database, settings.base_domain, ttl=settings.host_cache_seconds),
        create_services(settings, storage, doorbell),
        Authenticator(FIND_USER, FIND_ADMIN),
    )
    app.extensions["edge"] = app.edge
    problems.register(app)
    requests.register(app)
    documents = document.create_documents(app)
    for blueprint in BLUEPRINTS:
        documents[blueprint.side].register_blueprint(blueprint)
    document.serve(app, app.edge, documents)
    # Otherwise done by the first statement, so that a process's first request waits for it.
    configure_mappers()
    health.register(
        app,
        {
            "database": database.ping,
            "migrations": lambda: migrator.check_platform(database),
            "redis": doorbell.ping,
            "storage": storage.check,
        },
    )
    return app


def create_services(settings: Settings, storage: Storage, doorbell: Doorbell) -> Services:
    """Gather what views may use."""
    services = Services(base_domain=settings.base_domain)
    services.add(Settings, settings)
    services.add(Storage, storage)
    services.add(Doorbell, doorbell)
    services.add(EventStreams, EventStreams())
    services.add(SecretBox, SecretBox.from_setting(settings.secrets_keys))
    services.add(Providers, Providers.from_settings(settings))
    return services
