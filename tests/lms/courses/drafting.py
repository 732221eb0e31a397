"""Lessons to make, and the order of a draft's content: for the tests about it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.lms.courses.conftest import Api

TEXT = {"kind": "text", "title": "Where flavour comes from"}


def order_of(api: Api, version_id: UUID) -> list[list[str]]:
    modules = api.get(f"/course-versions/{version_id}/modules").json["items"]
    return [
        [lesson["id"] for lesson in api.get(f"/modules/{module['id']}/lessons").json["items"]]
        for module in modules
    ]


def order(*modules: tuple[UUID, list[UUID]]) -> dict[str, Any]:
    return {
        "modules": [
            {"id": str(module), "lesson_ids": [str(lesson) for lesson in lessons]}
            for module, lessons in modules
        ]
    }
