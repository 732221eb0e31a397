"""Around a request's dispatch: whose host, which transaction, who acts.

The transaction surrounds the dispatch, so an error at COMMIT is still answered as a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import structlog
from flask import Flask, Response, request
from sqlalchemy.orm import Session
from werkzeug.exceptions import NotFound

from lms.core.actor import Actor, PlatformActor
from lms.core.errors import ForbiddenError, RecordedRefusalError
from lms.http import problems
from lms.http.answers import AnswerProvider
from lms.http.auth import Authenticator, InvalidTokenError, TokenClaims, bearer_of, read_token
from lms.http.blueprint import Operation
from lms.http.bodies import UNSAFE_TEXT, read_body
from lms.http.call import Call, Services
from lms.http.idempotency import (
    IdempotencyKeyMissingError,
    IdempotentRequest,
    ReplayedResponse,
    conflicts_told,
)
from tenants.errors import OrganizationNotFoundError, StalePlanError, TenancyError
from tenants.resolver import HostResolver
from tenants.session import PLATFORM, Database, OrganizationScope, PipelinedQuery, PlatformScope

Handler = Callable[..., Response]
PLATFORM_LABEL = "admin"


@dataclass(frozen=True, slots=True)
class Edge:
    """Runs declared operations.

    Attributes:
        database: where transactions are opened.
        resolver: from host to organization.
        services: what views may use.
        authenticator: how actors are loaded.
    """

    database: Database
    resolver: HostResolver
    services: Services
    authenticator: Authenticator

    def scope_of(self, host: str, operation: Operation) -> OrganizationScope | PlatformScope:
        """Return whose data a request to this host may reach.

        Raises:
            OrganizationNotFoundError: unknown host, or a host of the other side.
        """
        if operation.side == "platform":
            if host != self.platform_host:
                raise OrganizationNotFoundError(host)
            return PLATFORM
        scope = OrganizationScope(self.resolver.resolve(host), operation.states)
        structlog.contextvars.bind_contextvars(organization_id=str(scope.id))
        return scope

    @property
    def platform_host(self) -> str:
        """The host of the platform's own API."""
        return f"{PLATFORM_LABEL}.{self.services.base_domain}"

    def run(self, operation: Operation, handler: Handler, arguments: dict[str, Any]) -> Response:
        """Serve one request to one operation."""
        scope = self.scope_of(host_of_request(), operation)
        if any(isinstance(part, str) and UNSAFE_TEXT.search(part) for part in arguments.values()):
            raise NotFound
        if operation.reads_body:
            # Before any transaction: a slow client holds up no connection.
            read_body(request)
        call = Call(request, self.services, self.database, scope)

        def respond() -> Response:
            return handler(call=call, **arguments)

        try:
            if operation.transaction == "request":
                return self._in_one_transaction(operation, call, respond)
            return self._in_steps(operation, call, respond)
        except ReplayedResponse as replay:
            return replay.response
        except RecordedRefusalError as refusal:
            return self._record(operation, call, refusal)

    def _in_one_transaction(
        self, operation: Operation, call: Call, respond: Callable[[], Response]
    ) -> Response:
        try:
            return self._once(operation, call, respond)
        except StalePlanError:
            return self._once(operation, call, respond)

    def _once(self, operation: Operation, call: Call, respond: Callable[[], Response]) -> Response:
        with self._admitted(operation, call) as session, call.bound(session):
            keyed = call.idempotent
            if keyed is None:
                return respond()
            call.subject_id = keyed.claim(session)
            response = respond()
            keyed.store(session, response)
            return response

    def _in_steps(
        self, operation: Operation, call: Call, respond: Callable[[], Response]
    ) -> Response:
        if operation.idempotent:
            return self._in_idempotent_steps(operation, call, respond)
        if operation.roles or operation.transaction == "steps":
            with self._admitted(operation, call):
                pass
        return respond()

    def _in_idempotent_steps(
        self, operation: Operation, call: Call, respond: Callable[[], Response]
    ) -> Response:
        """Admit the actor in the transaction of the view's first step, which claims the key.

        A view that knows its outcome within a step stores the answer there with `call.conclude`;
        otherwise it is stored in a last step.
        """
        with ExitStack() as opened:
            session = opened.enter_context(self._admitted(operation, call))
            keyed = call.idempotent
            if keyed is None:
                raise TypeError("only signed-in people's operations can be idempotent")
            call.lend_first_step(session, opened)
            try:
                response = respond()
            except RecordedRefusalError:
                raise
            except Exception:
                if keyed.held_until is not None:
                    with suppress(TenancyError), self.database.transaction(call.scope) as last:
                        keyed.let_go(last)
                raise
        if not keyed.stored:
            with self.database.transaction(call.scope) as last:
                keyed.store(last, response)
        return response

    def _record(self, operation: Operation, call: Call, refusal: RecordedRefusalError) -> Response:
        response = problems.of_domain_error(refusal)
        with self.database.transaction(call.scope) as session:
            refusal.record(session)
            if operation.idempotent and call.idempotent is not None:
                call.idempotent.store(session, response)
        return response

    @contextmanager
    def _admitted(self, operation: Operation, call: Call) -> Iterator[Session]:
        """Open a transaction in which the actor is known and may call the operation.

        Who acts is asked in the round trip that binds the transaction, and an Idempotency-Key is
        claimed in it. A token that does not hold is refused inside too: on a host that is nobody's
        or suspended, everyone gets its 404.
        """
        claims: TokenClaims | None = None
        unknown: InvalidTokenError | None = None
        keyless: IdempotencyKeyMissingError | None = None
        first: list[PipelinedQuery] = []
        if operation.roles:
            try:
                claims = read_token(bearer_of(request), call.scope, kind="access")
                first.append(self.authenticator.ask(claims, call.scope))
            except InvalidTokenError as error:
                unknown = error
        if operation.idempotent and claims is not None:
            try:
                call.idempotent = IdempotentRequest.of(request, claims.subject_id, operation.id)
                first.append(call.idempotent.ask())
            except IdempotencyKeyMissingError as error:
                keyless = error
        with ExitStack() as stack:
            with conflicts_told():
                session = stack.enter_context(self.database.transaction(call.scope, *first))
            if unknown is not None:
                raise unknown
            if claims is not None:
                self._admit(operation, call, self.authenticator.actor(claims, call.scope, session))
            if keyless is not None:
                raise keyless
            yield session

    def _admit(self, operation: Operation, call: Call, actor: Actor | PlatformActor) -> None:
        call.sign_in(actor)
        role = getattr(actor, "account_type", "super_admin")
        if role not in operation.roles:
            allowed = ", ".join(sorted(operation.roles))
            raise ForbiddenError(f"This needs the account type {allowed}.", required=allowed)


class LmsFlask(Flask):
    """Flask, with declared operations dispatched through the edge."""

    json_provider_class = AnswerProvider
    edge: Edge

    def dispatch_request(self) -> Any:
        """Dispatch, inside the transaction that the endpoint declares.

        An endpoint that declares nothing gets no session and no organization.
        """
        if request.routing_exception is not None:
            self.raise_routing_exception(request)
        rule = request.url_rule
        view = self.view_functions[rule.endpoint] if rule is not None else None
        operation: Operation | None = getattr(view, "operation", None)
        if operation is None or view is None or request.method == "OPTIONS":
            return super().dispatch_request()
        structlog.contextvars.bind_contextvars(operation=operation.id)
        return self.edge.run(operation, cast("Handler", view), request.view_args or {})


def host_of_request() -> str:
    """Return the host that the client called: lower case, without port or trailing dot."""
    return request.host.rsplit(":", 1)[0].lower().rstrip(".")
