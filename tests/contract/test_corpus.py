"""Bad input is never a server's error: a corpus of hostile requests on every operation."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

import pytest

from tests.contract.corpus import (
    Answer,
    Input,
    committed_writes,
    inputs,
    sample,
    send,
    well_formed,
)
from tests.contract.described import Described, described
from tests.contract.world import USING_UP, SampleWorld

PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "instance", "code"}
ONE_IN = 60
"""The short form takes one input in so many, and at least one of each operation."""

ALL = 1
WRITERS = {"tenant": "createModule", "platform": "updateOrganization"}
"""One operation of each side that writes whenever it succeeds."""

NO_OPERATION = {308, 404, 405}
"""Where the path or the method leads to no operation: 308 joins doubled slashes."""

MARKED = {("refreshTokens", 401), ("topUpWallet", 402), ("enrollInRun", 402)}
"""Refusals that are to leave a mark: a reused token ends its family, a decline is kept."""


def wrong(one: Input, answer: Answer) -> str | None:
    """Say what is wrong with an answer, None when nothing is."""
    allowed = set(one.operation.statuses)
    if one.kind in ("path", "method"):
        allowed |= NO_OPERATION
    if answer.status not in allowed or answer.status >= 500:
        return f"{answer.status} is not documented: {answer.body[:300]!r}"
    if answer.status < 400:
        return None
    if answer.written and (one.operation.id, answer.status) not in MARKED:
        return f"refused with {answer.status}, but wrote: {answer.written}"
    return _wrong_problem(answer, empty=one.method == "HEAD")


def _wrong_problem(answer: Answer, *, empty: bool) -> str | None:
    if answer.status == 405 and not answer.headers.get("allow"):
        return "405 without Allow"
    if answer.headers.get("content-type") != PROBLEM:
        return f"{answer.status} as {answer.headers.get('content-type')}"
    problem = {} if empty else json.loads(answer.body)
    if not empty and not (set(problem) >= MEMBERS and problem["status"] == answer.status):
        return f"not a whole problem: {problem}"
    return None


@dataclass
class Swept:
    """What a sweep saw.

    Attributes:
        statuses: answers by status.
        operations: inputs by operation.
        findings: what was wrong, in words.
    """

    statuses: Counter[int] = field(default_factory=Counter[int])
    operations: Counter[str] = field(default_factory=Counter[str])
    findings: list[str] = field(default_factory=list[str])


def sweep(world: SampleWorld, side: str, *, one_in: int) -> Swept:
    """Send the corpus of one side, every operation some of it."""
    limit = world.settings.max_body_bytes
    operations = {one.id: one for one in described(world.app) if one.side == side}
    swept = Swept()
    with committed_writes(world.app) as written:
        # If this were not seen as written, no refusal would be either.
        control = send(world, well_formed(operations[WRITERS[side]]), written)
        assert control.status < 300, control.body
        assert control.written
        for operation in operations.values():
            for kind in _by_kind(operation, limit, one_in):
                used = False
                for one in kind:
                    answer = send(world, one, written)
                    swept.statuses[answer.status] += 1
                    swept.operations[operation.id] += 1
                    finding = wrong(one, answer)
                    if finding is not None:
                        swept.findings.append(f"{one}: {finding}")
                    if operation.id in USING_UP and answer.status < 300:
                        used = True
                    if used and operation.id == "logout":
                        world.renew()
                if used:
                    world.renew()
    assert set(swept.operations) == set(operations)
    return swept


def _by_kind(operation: Described, limit: int, one_in: int) -> list[list[Input]]:
    kinds: dict[str, list[Input]] = {}
    for one in sample(operation, limit, one_in):
        kinds.setdefault(one.kind, []).append(one)
    return list(kinds.values())


@pytest.mark.parametrize("side", ["tenant", "platform"])
def test_hostile_requests_are_refused_as_documented(sample_world: SampleWorld, side: str) -> None:
    swept = sweep(sample_world, side, one_in=ONE_IN)
    assert not swept.findings, "\n".join(swept.findings)


@pytest.mark.long
def test_the_whole_corpus_is_refused_as_documented(sample_world: SampleWorld) -> None:
    total: Counter[int] = Counter()
    for side in ("tenant", "platform"):
        swept = sweep(sample_world, side, one_in=ALL)
        assert not swept.findings, "\n".join(swept.findings)
        total += swept.statuses
    print(f"\n{total.total()} hostile requests: {dict(sorted(total.items()))}")
    assert total.total() >= 10_000


def test_the_corpus_knows_every_operation_of_both_documents(sample_world: SampleWorld) -> None:
    kinds = {
        operation.id: {one.kind for one in inputs(operation, 1024)}
        for operation in described(sample_world.app)
    }
    assert kinds
    for operation in described(sample_world.app):
        needed = {"header", "authorization", "path", "query", "method", "body", "role"}
        needed |= {"member"} if operation.body and operation.body.get("properties") else set()
        assert needed <= kinds[operation.id], operation.id
