"""Blueprints whose operations say everything about themselves in one place.

    blp = TenantBlueprint("Courses", "courses", description="...")

    @blp.operation("POST", "/courses", id="createCourse", body=CourseIn, returns=CourseOut,
                   status=201, roles=STAFF)
    def create_course(call: Call, body: dict[str, Any]) -> Course:
        '''Create a course.'''
        return operations.create_course(call.session, call.actor, **body)

The class says the side (organization or platform), the operation its transaction, who may call
it, what goes in and out, and which refusals are its own. The OpenAPI document says the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import wraps
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from flask import Response, request
from flask_smorest import Blueprint

from lms.core.pagination import Page
from lms.http.bodies import GuardedParser, needs_body
from lms.http.call import Call
from lms.http.schemas import NoQuery, PageQuery, Schema, page_of
from tenants.session import ACTIVE

Side = Literal["tenant", "platform"]
Transaction = Literal["request", "steps", "none"]
View = Callable[..., Any]

ANYONE = frozenset({"student", "instructor", "admin"})
STAFF = frozenset({"instructor", "admin"})
ADMINS = frozenset({"admin"})
SUPER_ADMINS = frozenset({"super_admin"})
PUBLIC: frozenset[str] = frozenset()
"""No sign-in needed."""

BYTES = frozenset({"application/zip", "application/octet-stream"})
"""Media types that are no text."""

EVENT_STREAM = "text/event-stream"
ONE_EVENT = {
    "description": "One of the stream's events; `data` is JSON.",
    "type": "object",
    "properties": {
        "id": {"type": "string"},
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["id", "event", "data"],
}
"""Before OpenAPI 3.2 a stream's schema is that of one event."""

NO_QUERY = NoQuery()


@dataclass(frozen=True, slots=True)
class Operation:
    """What an endpoint declares; the edge acts on it.

    Attributes:
        id: the OpenAPI operationId, a stable verb.
        side: whose host serves it.
        transaction: `request` (one for the whole request), `steps` (the view opens short ones) or
            `none`.
        roles: account types that may call it; empty is public.
        idempotent: it moves money, so it needs an Idempotency-Key.
        reads_body: the whole body is read before anything else; else the view streams it.
        states: organization states in which it is served.
    """

    id: str
    side: Side
    transaction: Transaction
    roles: frozenset[str]
    idempotent: bool
    reads_body: bool
    states: frozenset[str]


@dataclass(frozen=True, slots=True)
class Prepared:
    """An answer whose JSON text is made already, in the form that the operation declares.

    Attributes:
        version: for the ETag.
        document: the body, as JSON text.
    """

    version: int | str
    document: str


class ApiBlueprint(Blueprint):
    """Base of both sides; use `TenantBlueprint` or `PlatformBlueprint`."""

    side: ClassVar[Side]
    url_root: ClassVar[str]
    default_roles: ClassVar[frozenset[str]]
    ARGUMENTS_PARSER = GuardedParser()

    def __init__(self, tag: str, import_name: str, *, description: str) -> None:
        super().__init__(tag, import_name, url_prefix=self.url_root, description=description)
        self._prepare_doc_cbks = [*self._prepare_doc_cbks, self._prepare_operation_doc]

    def operation(
        self,
        method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"],
        rule: str,
        *,
        id: str,  # noqa: A002 - the document's own word
        body: type[Schema] | None = None,
        raw_body: str | None = None,
        query: type[Schema] | None = None,
        returns: type[Schema] | None = None,
        paged: bool = False,
        status: int = 200,
        accepted: bool = False,
        roles: frozenset[str] | None = None,
        transaction: Transaction = "request",
        etag: bool = False,
        not_modified: bool = True,
        if_match: Literal["optional", "required"] | None = None,
        idempotent: bool = False,
        refusals: Iterable[int] = (),
        states: frozenset[str] = ACTIVE,
        content_type: str | None = None,
        responses: Mapping[int, str] | None = None,
        headers: Mapping[str, str] | None = None,
        example: Any = None,
    ) -> Callable[[View], View]:
        """Register a view as an operation.

        Args:
            method: HTTP method.
            rule: path below `/api/v1` (or `/api/v1/platform`), with Flask's converters.
            id: the OpenAPI operationId; clients' method names are made of it.
            body: schema of the JSON body; the view gets it loaded, as `body`. An absent one counts
                as `{}` for a POST without required members.
            raw_body: media type of a body that the view reads itself, for the document.
            query: schema of the query parameters, as `query`. Paged lists extend `PageQuery`.
                Without one, every query parameter is refused.
            returns: schema of the answer, or of one item when `paged`.
            paged: the view returns a `Page`; `Link: rel="next"` is added.
            status: status of success.
            accepted: it may also answer 202 with the same body, when the outcome is not known yet.
            roles: account types that may call it; the side's default when absent.
            transaction: see `Operation`.
            etag: the answer carries the row's version as ETag; GET answers 304 to If-None-Match.
            not_modified: False where the answer shows more than the row (seats, phase, another
                row's name): the ETag serves If-Match alone, and never 304.
            if_match: the view reads `call.expected_version(...)`; for the document.
            idempotent: needs an Idempotency-Key.
            refusals: statuses of the rules' own refusals (409, 402, ...).
            states: organization states in which it is served.
            content_type: of an answer that is not JSON; the view returns a `Response`.
            responses: further statuses that the view's own `Response` may have, with their
                descriptions; for the document.
            headers: optional request headers that the view reads, with their descriptions; for
                the document.
            example: an answer as clients will see it.

        Returns:
            A decorator; the view is called as `view(call, body=..., query=..., **path)`.
        """
        if idempotent and roles == PUBLIC:
            raise TypeError(f"{id}: a key belongs to who is signed in, and nobody has to be")
        declared = Operation(
            id=id,
            side=self.side,
            transaction=transaction,
            roles=self.default_roles if roles is None else roles,
            idempotent=idempotent,
            reads_body=body is not None or idempotent,
            states=states,
        )
        asked = query or (PageQuery if paged else None)

        def register(view: View) -> View:
            handler = _presenting(
                _without_query(view) if asked is None else view,
                etag=etag,
                not_modified=not_modified,
                paged=paged,
                empty=status == 204,
            )
            schema = page_of(returns) if paged and returns is not None else returns
            if content_type is not None:
                schema = _text_or_bytes(content_type)
            handler = self.response(status, schema, content_type=content_type, example=example)(
                handler
            )
            if accepted:
                handler = self.alt_response(
                    202, schema=schema, success=True, description="Accepted; read it again later."
                )(handler)
            # Instances: of a class, webargs makes one for each request.
            if asked is not None:
                handler = self.arguments(asked(), location="query", arg_name="query")(handler)
            if body is not None:
                loaded = body()
                handler = self.arguments(
                    loaded, location="json", arg_name="body", required=needs_body(method, loaded)
                )(handler)
            info = deepcopy(getattr(handler, "_apidoc", {}))
            info["operation"] = {
                "declared": declared,
                "has_body": body is not None,
                "raw_body": raw_body,
                "etag": etag,
                "not_modified": not_modified,
                "if_match": if_match,
                "refusals": tuple(refusals),
                "responses": dict(responses or {}),
                "headers": dict(headers or {}),
                "paged": paged,
                "status": status,
            }
            # smorest's own place for documentation; the edge finds the declaration on the view.
            vars(handler)["_apidoc"] = info
            vars(handler)["operation"] = declared
            self.add_url_rule(rule, id, handler, methods=[method])
            return view

        return register

    def _prepare_operation_doc(
        self, doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **_kwargs: Any
    ) -> dict[str, Any]:
        info = doc_info["operation"]
        declared: Operation = info["declared"]
        doc["operationId"] = declared.id
        # smorest names a component after the running Python's phrase for 422.
        doc["responses"].pop(422, None)
        statuses = _problem_statuses(info, method)
        doc["responses"].update({status: f"Problem{status}" for status in sorted(statuses)})
        doc["responses"].update(
            {status: {"description": text} for status, text in info["responses"].items()}
        )
        if info["raw_body"] is not None:
            content = {info["raw_body"]: {"schema": _text_or_bytes(info["raw_body"])}}
            doc["requestBody"] = {"required": True, "content": content}
        doc["security"] = [{"bearer": []}] if declared.roles else []
        if declared.roles:
            doc["x-roles"] = sorted(declared.roles)
        _document_headers(doc, info, method)
        return doc


class TenantBlueprint(ApiBlueprint):
    """Operations on organizations' hosts, in one organization's transaction."""

    side = "tenant"
    url_root = "/api/v1"
    default_roles = ANYONE


class PlatformBlueprint(ApiBlueprint):
    """Operations on the platform host, for super-admins."""

    side = "platform"
    url_root = "/api/v1/platform"
    default_roles = SUPER_ADMINS


def _presenting(view: View, *, etag: bool, not_modified: bool, paged: bool, empty: bool) -> View:
    """Wrap a view so that it returns what smorest's `response` expects, with our headers."""

    def handler(**kwargs: Any) -> Any:
        result = view(kwargs.pop("call"), **kwargs)
        if isinstance(result, Response):
            return result
        if empty:
            return Response(status=204)
        headers: dict[str, str] = {}
        if etag:
            tag = f'"{result.version}"'
            conditional = not_modified and request.method == "GET"
            if conditional and request.if_none_match.contains_weak(str(result.version)):
                return Response(status=304, headers={"ETag": tag})
            headers["ETag"] = tag
        if paged and isinstance(result, Page) and result.next_cursor:
            headers["Link"] = _next_link(result.next_cursor)
        if isinstance(result, Prepared):
            return Response(result.document, headers=headers, mimetype="application/json")
        return result, headers

    handler.__name__ = view.__name__
    handler.__doc__ = view.__doc__
    return handler


def _without_query(view: View) -> View:
    """Refuse every query parameter; without any, which is nearly always, nothing is parsed."""

    @wraps(view)
    def called(call: Call, **kwargs: Any) -> Any:
        if request.query_string:
            ApiBlueprint.ARGUMENTS_PARSER.parse(NO_QUERY, request, location="query")
        return view(call, **kwargs)

    return called


def _text_or_bytes(media_type: str) -> dict[str, Any]:
    """Return the schema of what is not JSON: clients must not take bytes for text."""
    if media_type == EVENT_STREAM:
        return ONE_EVENT
    return {"type": "string", "format": "binary"} if media_type in BYTES else {"type": "string"}


def _next_link(cursor: str) -> str:
    parameters = {**request.args.to_dict(), "cursor": cursor}
    return f'<{request.path}?{urlencode(parameters)}>; rel="next"'


def _problem_statuses(info: dict[str, Any], method: str) -> set[int]:
    declared: Operation = info["declared"]
    # 400 and 422 also for query parameters, which every operation reads and most refuse.
    statuses = {400, 404, 422, 500, 503, *info["refusals"]}
    if declared.roles:
        statuses |= {401, 403}
    if info["has_body"]:
        statuses |= {413, 415}
    if info["if_match"]:
        statuses.add(412)
    if info["if_match"] == "required":
        statuses.add(428)
    if declared.idempotent:
        statuses.add(409)
    del method
    return statuses


def _document_headers(doc: dict[str, Any], info: dict[str, Any], method: str) -> None:
    parameters = doc.setdefault("parameters", [])
    success = doc["responses"][info["status"]]
    headers: dict[str, Any] = {}
    if info["if_match"]:
        parameters.append(
            {
                "in": "header",
                "name": "If-Match",
                "required": info["if_match"] == "required",
                "description": "The ETag of the state that the change is based on.",
                "schema": {"type": "string"},
                "example": '"3"',
            }
        )
    if info["declared"].idempotent:
        parameters.append(
            {
                "in": "header",
                "name": "Idempotency-Key",
                "required": True,
                "description": "A fresh UUID for each intent; a repeat replays the first answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "example": "0d3e0a52-9a4c-4a4e-8f0a-6f1b8e0c2f11",
            }
        )
    parameters.extend(
        {
            "in": "header",
            "name": name,
            "required": False,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in info["headers"].items()
    )
    if info["etag"]:
        headers["ETag"] = {
            "description": "Version of what is returned.",
            "schema": {"type": "string"},
        }
        if method == "get" and info["not_modified"]:
            parameters.append(
                {
                    "in": "header",
                    "name": "If-None-Match",
                    "required": False,
                    "description": "Answer 304 when the ETag is still this one.",
                    "schema": {"type": "string"},
                }
            )
            doc["responses"][304] = {"description": "Not Modified"}
    if info["paged"]:
        headers["Link"] = {"description": "The next page, rel=next.", "schema": {"type": "string"}}
    if headers:
        success["headers"] = headers
    if not parameters:
        del doc["parameters"]
