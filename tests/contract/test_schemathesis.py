"""What the documents promise holds: Schemathesis with every check, as each role."""

from __future__ import annotations

from typing import Any

import pytest
from schemathesis.checks import CHECKS, load_all_checks

from tests.contract.described import described
from tests.contract.fuzzing import Findings, run
from tests.contract.world import SampleWorld

WHO = [
    ("tenant", "student"),
    ("tenant", "instructor"),
    ("tenant", "admin"),
    ("tenant", None),
    ("platform", "super_admin"),
    ("platform", None),
]
LONG_EXAMPLES = 100
NEVER_MADE = {"max_response_time"}
"""Needs a limit; how fast answers are is for the benchmarks."""


def holds(world: SampleWorld, side: str, found: Findings) -> None:
    assert not found.errors, "\n".join(sorted(set(found.errors)))
    assert not found.failures, f"{len(found.failures)}\n" + "\n".join(found.failures[:40])
    assert all(status < 500 for status in found.statuses)
    expected = {f"{one.method} {one.path}" for one in described(world.app) if one.side == side}
    assert set(found.inputs) == expected


def test_every_object_in_a_request_is_closed(sample_world: SampleWorld) -> None:
    def open_ones(node: Any) -> list[Any]:
        if isinstance(node, list):
            return [found for one in node for found in open_ones(one)]
        if not isinstance(node, dict):
            return []
        is_open = "properties" in node and node.get("additionalProperties") is not False
        return [*([node] if is_open else []), *open_ones(list(node.values()))]

    for operation in described(sample_world.app):
        assert open_ones(operation.body) == [], operation.id


@pytest.mark.parametrize(("side", "role"), WHO)
def test_the_api_does_what_its_document_says(
    sample_world: SampleWorld, side: str, role: str | None
) -> None:
    found = run(sample_world, side, role, examples=2, coverage_one_in=40)
    holds(sample_world, side, found)
    load_all_checks()
    assert set(found.checks) == set(CHECKS.get_all_names()) - NEVER_MADE


@pytest.mark.long
@pytest.mark.parametrize(("side", "role"), WHO)
def test_the_api_does_what_its_document_says_in_a_hundred_examples_of_each_operation(
    sample_world: SampleWorld, side: str, role: str | None
) -> None:
    found = run(sample_world, side, role, examples=LONG_EXAMPLES)
    never = sorted(label for label in found.inputs if not found.accepted[label])
    print(f"\n{side} as {role}: {found.inputs.total()} requests, {dict(found.statuses)}")
    print(f"fewest: {found.inputs.most_common()[-8:]}")
    print(f"never answered with 2xx: {never}")
    holds(sample_world, side, found)
