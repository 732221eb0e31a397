"""What a view is handed: whose request it is, who acts, and what it may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from uuid import UUID

from flask import Request, Response
from sqlalchemy.orm import Session

from lms.core.actor import Actor, PlatformActor
from lms.core.errors import PreconditionRequiredError, StaleVersionError
from lms.http.idempotency import IdempotentRequest
from tenants.session import Database, OrganizationScope, PlatformScope

T = TypeVar("T")


class Services:
    """What the composition root made, found by type: `services.get(Storage)`.

    The http room knows no domain, so it cannot name what the domains need.
    """

    def __init__(self, *, base_domain: str) -> None:
        self.base_domain = base_domain
        self._by_type: dict[type[Any], Any] = {}

    def add(self, kind: type[T], service: T) -> None:
        """Offer a service under its type."""
        self._by_type[kind] = service

    def get(self, kind: type[T]) -> T:
        """Return the service of a type.

        Raises:
            LookupError: the composition root did not add it.
        """
        try:
            return self._by_type[kind]
        except KeyError as error:
            raise LookupError(f"no {kind.__name__} was composed") from error


class Call:
    """One request to one operation.

    Attributes:
        request: Flask's request; views rarely need it.
        scope: whose data the request may reach, resolved from its host.
        subject_id: on idempotent operations in one transaction: the id under which to make what
            the request makes, the same for every request with this Idempotency-Key.
        idempotent: on idempotent operations: the request's key. In steps, the view's first one
            claims it and so learns the subject's id; the edge stores the answer.
    """

    def __init__(
        self,
        request: Request,
        services: Services,
        database: Database,
        scope: OrganizationScope | PlatformScope,
    ) -> None:
        self.request = request
        self.scope = scope
        self.subject_id: UUID | None = None
        self.idempotent: IdempotentRequest | None = None
        self._services = services
        self._database = database
        self._session: Session | None = None
        self._first_step: tuple[Session, ExitStack] | None = None
        self._actor: Actor | PlatformActor | None = None

    def use(self, kind: type[T]) -> T:
        """Return a composed service by type: `call.use(Doorbell)`."""
        return self._services.get(kind)

    @property
    def session(self) -> Session:
        """The request's transaction.

        Raises:
            RuntimeError: the operation declared `steps` or `none`.
        """
        if self._session is None:
            raise RuntimeError("this operation has no transaction of its own; open steps")
        return self._session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open one short step, for operations that declared `steps`.

        The first step of an idempotent operation is the transaction in which its actor was
        admitted.
        """
        if self._session is not None:
            raise RuntimeError("the request already has its transaction")
        if self._first_step is not None:
            session, opened = self._first_step
            self._first_step = None
            with opened.pop_all():
                yield session
            return
        with self._database.transaction(self.scope) as session:
            yield session

    @contextmanager
    def inside(self, organization: OrganizationScope) -> Iterator[Session]:
        """Open one short step inside an organization, for the platform's operations in `steps`.

        Args:
            organization: whose data, and in which of its states.

        Raises:
            OrganizationNotFoundError: unknown, or not in one of the states.
            OrganizationMigratingError: its schema is at a revision that is not served.
        """
        if not isinstance(self._actor, PlatformActor) or self._session is not None:
            raise RuntimeError("only super-admins' operations in steps enter an organization")
        with self._database.transaction(organization) as session:
            yield session

    def lend_first_step(self, session: Session, opened: ExitStack) -> None:
        """Let the view's first step go on in an open transaction; for the edge only.

        Args:
            session: of the transaction.
            opened: what ends it; the step takes it over.
        """
        self._first_step = session, opened

    def conclude(self, session: Session, response: Response) -> Response:
        """Store the answer of an idempotent operation in the step that settles its outcome.

        Args:
            session: of that step; this is the last thing that it does.
            response: what a repeated request will be answered.

        Returns:
            The response, for the view to return.
        """
        if self.idempotent is None:
            raise TypeError("this operation does not declare that it is idempotent")
        self.idempotent.store(session, response)
        return response

    @contextmanager
    def bound(self, session: Session) -> Iterator[None]:
        """Lend the request's transaction to the view; for the edge only."""
        self._session = session
        try:
            yield
        finally:
            self._session = None

    @property
    def actor(self) -> Actor:
        """The signed-in user of the organization."""
        if not isinstance(self._actor, Actor):
            raise TypeError("nobody is signed in to an organization here")
        return self._actor

    @property
    def platform_actor(self) -> PlatformActor:
        """The signed-in super-admin."""
        if not isinstance(self._actor, PlatformActor):
            raise TypeError("no super-admin is signed in here")
        return self._actor

    def sign_in(self, actor: Actor | PlatformActor) -> None:
        """Remember who acts; for the edge only."""
        self._actor = actor

    @property
    def organization_id(self) -> UUID:
        """The organization whose host was called."""
        if not isinstance(self.scope, OrganizationScope):
            raise TypeError("this operation belongs to the platform")
        return self.scope.id

    @property
    def base_url(self) -> str:
        """Scheme and host that the client used, without a slash at the end."""
        return f"{self.request.scheme}://{self.request.host}"

    def expected_version(self, *, required: bool = False) -> int | None:
        """Return the version that If-Match names, or None when any will do.

        Args:
            required: a lost update would hurt here, so the header must be there.

        Raises:
            PreconditionRequiredError: it is required and missing.
            StaleVersionError: it is not an ETag of ours.
        """
        header = self.request.headers.get("If-Match")
        if header is None:
            if required:
                raise PreconditionRequiredError(
                    "Send If-Match with the ETag of what you read, so that no update is lost."
                )
            return None
        if header.strip() == "*":
            return None
        version = header.strip().strip('"')
        if not version.isdecimal() or len(version) > 18:
            raise StaleVersionError("If-Match is not the ETag of this resource's present state.")
        return int(version)
