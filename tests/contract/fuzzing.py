"""Schemathesis over the app: every check, signed in as a role, failures collected to the end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch
from zlib import crc32

import schemathesis
from schemathesis import HookContext
from schemathesis.auths import AuthContext
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from schemathesis.generation.case import Case
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.transport.wsgi import WSGI_TRANSPORT

from tests.contract.described import Described, described
from tests.contract.rules import CODES, DETAILS, MEMBERS, MESSAGES
from tests.contract.world import PLATFORM_HOST, USING_UP, SampleWorld, authorization

SEED = 20_270_101

ACCEPTED = ["2xx", "3xx", "401", "402", "403", "404", "409"]
"""Of well-formed requests: who asks, what is there and in which state it is, is more than form.

Refusals of form that a schema cannot say are in `rules`, each with its reason.
"""

REFUSED = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "416", "422", "428"]
"""Of malformed ones: who asks and what is there is looked at first. Never 5xx."""

HEADER_MISSED = ["400", "401", "403", "404", "422", "428"]
"""428 is RFC 6585's answer to a missing If-Match; a body's form is looked at before."""

QUOTED = re.compile("'[^']*'")
"""What a detail quotes of the request."""

# As bytes, whatever they are: what is a ZIP, only our own tests know.
schemathesis.serializer.alias("application/zip", "application/octet-stream")

USUAL = {"User-Agent", "Accept-Encoding", "Accept", "Connection", "Content-Length"}


@dataclass
class Findings:
    """What a run saw.

    Attributes:
        inputs: generated requests by operation; probes of checks are counted with them.
        accepted: those that were answered with 2xx.
        statuses: answers by status.
        checks: how often each check was made.
        failures: what a check found, with the request that showed it.
        errors: what kept an operation from being tested.
    """

    inputs: Counter[str] = field(default_factory=Counter[str])
    accepted: Counter[str] = field(default_factory=Counter[str])
    statuses: Counter[int] = field(default_factory=Counter[int])
    checks: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    errors: list[str] = field(default_factory=list[str])

    def take(self, event: events.EngineEvent) -> None:
        """Add what an event of the engine says."""
        if isinstance(event, events.NonFatalError):
            self.errors.append(f"{event.label}: {event.info.title}: {event.info.message}")
        elif isinstance(event, events.FatalError):
            self.errors.append(repr(event.exception))
        elif isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        recorder, label = event.recorder, event.label or ""
        self.inputs[label] += len(recorder.interactions)
        for interaction in recorder.interactions.values():
            if interaction.response is not None:
                self.statuses[interaction.response.status_code] += 1
                self.accepted[label] += interaction.response.status_code < 300
        for case_id, nodes in recorder.checks.items():
            for node in nodes:
                self.checks[node.name] += 1
                if node.failure_info is not None:
                    failure = node.failure_info.failure
                    self.failures.append(
                        f"{node.name} [{event.phase}] {label}: {failure.title}:"
                        f" {failure.message[:600]}{_shown(recorder, case_id)}"
                    )


def run(
    world: SampleWorld, side: str, role: str | None, *, examples: int, coverage_one_in: int = 1
) -> Findings:
    """Test every operation of one side as one role, with all checks.

    Args:
        world: where; it is furnished anew whenever something in it was used up.
        side: `tenant` or `platform`.
        role: who asks; None is nobody.
        examples: of each operation, beside those of its document and of the boundaries.
        coverage_one_in: the boundaries of one operation in so many are tried, always the same.
    """
    host = PLATFORM_HOST if side == "platform" else world.host
    operations = [one for one in described(world.app) if one.side == side]
    schema = schemathesis.openapi.from_wsgi(
        "/api/openapi.json",
        on_host(world.app, host),
        config=_configuration(operations, examples, coverage_one_in),
    )
    found = Findings()
    _sign_in(schema, world, role)
    with _steered(world, role):
        for event in from_schema(schema).execute():
            found.take(event)
    return found


def on_host(app: Any, host: str) -> Any:
    """Let every request of a WSGI client that knows one host arrive at another."""

    def serve(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        answer = app({**environ, "HTTP_HOST": host, "SERVER_NAME": host}, start_response)
        # Read and closed here, because the engine's client never closes an answer's file.
        with closing(answer) if hasattr(answer, "close") else nullcontext():
            return list(answer)

    return serve


def _configuration(
    operations: list[Described], examples: int, coverage_one_in: int
) -> SchemathesisConfig:
    left_out = [one.id for one in operations if crc32(one.id.encode()) % coverage_one_in]
    return SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "continue-on-failure": True,
            "workers": 1,
            # Slow generation says something about the machine, not about the app.
            "suppress-health-check": ["all"],
            "checks": {
                "enabled": True,
                "positive_data_acceptance": {"expected-statuses": ACCEPTED},
                "negative_data_rejection": {"expected-statuses": REFUSED},
                "missing_required_header": {"expected-statuses": HEADER_MISSED},
            },
            "generation": {
                "mode": "all",
                "max-examples": examples,
                "deterministic": True,
                "no-shrink": True,
                "database": "none",
            },
            "phases": {"stateful": {"enabled": False}},
            "operations": [
                {"include-operation-id": left_out, "phases": {"coverage": {"enabled": False}}}
            ]
            if left_out
            else [],
        }
    )


def _sign_in(schema: Any, world: SampleWorld, role: str | None) -> None:
    if role is None:
        return

    @schema.auth(refresh_interval=None)
    class SignedIn:
        """Gives each request the present token of the role."""

        def get(self, case: Case[Any], context: AuthContext) -> dict[str, str]:
            del case, context
            return authorization(world, role)

        def set(self, case: Case[Any], data: dict[str, str], context: AuthContext) -> None:
            del context
            case.headers.update(data)


@contextmanager
def _steered(world: SampleWorld, role: str | None) -> Iterator[None]:
    """Lead requests to what there is, and furnish the world anew when it is used up."""
    used_up: list[str] = []

    def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
        del context, kwargs
        if used_up:
            used_up.clear()
            before = authorization(world, role)
            world.renew()
            # A made-up token, with which the engine tests that it is refused, stays.
            if case.headers and before.items() <= dict(case.headers).items():
                case.headers.update(authorization(world, role))
        _lead(world, case)

    def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
        del context
        if _id(case) in USING_UP and response.status_code < 300:
            used_up.append(_id(case))

    def filter_failure(
        context: HookContext, failure: Failure, case: Case[Any], response: Response
    ) -> bool:
        del context, case
        return not (isinstance(failure, RejectedPositiveData) and _is_a_rule(response))

    hooks = (before_call, after_call, filter_failure)
    # Schemathesis takes hooks around calls for the whole process only.
    for hook in hooks:
        schemathesis.hook(hook)
    try:
        with patch.object(WSGI_TRANSPORT, "send", _send):
            yield
    finally:
        for hook in hooks:
            GLOBAL_HOOK_DISPATCHER.unregister(hook)


def _lead(world: SampleWorld, case: Case[Any]) -> None:
    meta = case.meta
    if meta is None or not meta.is_negative_at(ParameterLocation.PATH):
        for name in case.path_parameters or {}:
            known = world.path_parameter(name, _id(case))
            if known is not None:
                case.path_parameters[name] = known
    well_formed = meta is None or not meta.is_negative_at(ParameterLocation.HEADER)
    if well_formed and case.headers and "If-Match" in case.headers:
        # A made-up ETag would never be the present one.
        case.headers["If-Match"] = "*"


def _is_a_rule(response: Response) -> bool:
    problem = response.json()
    errors = problem.get("errors", [])
    if problem["code"] in CODES or QUOTED.sub("'…'", problem["detail"]) in DETAILS:
        return True
    return bool(errors) and all(
        error["message"] in MESSAGES or error["pointer"].rpartition("/")[2] in MEMBERS
        for error in errors
    )


SEND = WSGI_TRANSPORT.send


def _send(case: Case[Any], **kwargs: Any) -> Response:
    """Send a case; probes of `ignored_auth` bring options that only a network session takes."""
    if kwargs.get("session") is None:
        for name in ("max_redirects", "verify", "cert"):
            kwargs.pop(name, None)
    return SEND(case, **kwargs)


def _id(case: Case[Any]) -> str:
    return str(case.operation.definition.raw["operationId"])


def _shown(recorder: ScenarioRecorder, case_id: str) -> str:
    interaction = recorder.interactions.get(case_id)
    if interaction is None:
        return ""
    request, response = interaction.request, interaction.response
    headers = {name: value for name, value in request.headers.items() if name not in USUAL}
    body = (request.body or b"")[:500]
    asked = f"\n  request: {request.method} {request.uri} {headers} {body!r}"
    if response is None:
        return asked
    return f"{asked}\n  answer: {response.status_code} {response.content[:500]!r}"
