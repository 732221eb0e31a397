"""Bad input is never a server's error: a corpus of hostile requests on every operation."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.contract.corpus import Answer, Input, committed_writes, inputs, send
from tests.contract.described import Described, described
from tests.contract.world import USING_UP, SampleWorld

PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "instance", "code"}
ONE_IN = 60
"""The short form takes one input in so many."""

LONG_ONE_IN = 3
"""The long form takes one in so many of some 45,000."""

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


def sweep(world: SampleWorld, side: str, *, one_in: int) -> tuple[Counter[int], list[str]]:
    """Send the corpus of one side; returns answers by status, and what was wrong."""
    limit = world.settings.max_body_bytes
    seen: Counter[int] = Counter()
    findings: list[str] = []
    with committed_writes(world.app) as written:
        for operation in described(world.app):
            if operation.side != side:
                continue
            for kind in _by_kind(operation, limit, one_in):
                used = False
                for one in kind:
                    answer = send(world, one, written)
                    seen[answer.status] += 1
                    finding = wrong(one, answer)
                    if finding is not None:
                        findings.append(f"{one}: {finding}")
                    if operation.id in USING_UP and answer.status < 300:
                        used = True
                    if used and operation.id == "logout":
                        world.renew()
                if used:
                    world.renew()
    return seen, findings


def _by_kind(operation: Described, limit: int, one_in: int) -> list[list[Input]]:
    kinds: dict[str, list[Input]] = {}
    for one in inputs(operation, limit):
        if one.chosen(one_in):
            kinds.setdefault(one.kind, []).append(one)
    return list(kinds.values())


@pytest.mark.parametrize("side", ["tenant", "platform"])
def test_hostile_requests_are_refused_as_documented(sample_world: SampleWorld, side: str) -> None:
    seen, findings = sweep(sample_world, side, one_in=ONE_IN)
    assert not findings, "\n".join(findings)
    assert seen.total() > 100


@pytest.mark.long
def test_ten_thousand_hostile_requests_are_refused_as_documented(
    sample_world: SampleWorld,
) -> None:
    total: Counter[int] = Counter()
    for side in ("tenant", "platform"):
        seen, findings = sweep(sample_world, side, one_in=LONG_ONE_IN)
        assert not findings, "\n".join(findings)
        total += seen
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
