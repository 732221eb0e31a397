"""What changed between two versions of a course, out."""

from __future__ import annotations

import marshmallow as ma
from marshmallow import validate

from lms.courses.diffing import LESSON_MEMBERS, MAGNITUDES, MODULE_MEMBERS
from lms.http.schemas import Schema

LINEAGE = {"description": "The same in every version it was copied into."}
POSITION = {"description": "Among its neighbours, from 1."}


class DiffQuery(Schema):
    """What to compare with."""

    base = ma.fields.UUID(
        load_default=None,
        metadata={
            "description": "A version of the same course; when absent the version that this one was"
            " copied from, or else the one that was published before it."
        },
    )


class ComparedVersionOut(Schema):
    """One side of the comparison."""

    id = ma.fields.UUID(required=True)
    number = ma.fields.Integer(required=True)
    label = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": ["draft", "published", "archived"]})


class DiffItemOut(Schema):
    """A module or lesson that only one of the versions has."""

    lineage_id = ma.fields.UUID(required=True, metadata=LINEAGE)
    title = ma.fields.String(required=True)


class ModulePlaceOut(Schema):
    """Where a module stands."""

    position = ma.fields.Integer(required=True, metadata=POSITION)


class LessonPlaceOut(Schema):
    """Where a lesson stands."""

    module_lineage_id = ma.fields.UUID(required=True, metadata=LINEAGE)
    position = ma.fields.Integer(required=True, metadata=POSITION)


class MovedModuleOut(DiffItemOut):
    """A module in another place; `title` is the newer one."""

    before = ma.fields.Nested(ModulePlaceOut, required=True)
    after = ma.fields.Nested(ModulePlaceOut, required=True)


class MovedLessonOut(DiffItemOut):
    """A lesson in another place, or in another module; `title` is the newer one."""

    before = ma.fields.Nested(LessonPlaceOut, required=True)
    after = ma.fields.Nested(LessonPlaceOut, required=True)


class ChangedModuleOut(DiffItemOut):
    """A module with other members; `title` is the newer one."""

    members = ma.fields.List(
        ma.fields.String(validate=validate.OneOf(MODULE_MEMBERS)), required=True
    )


class ChangedLessonOut(DiffItemOut):
    """A lesson with other members; `title` is the newer one."""

    members = ma.fields.List(
        ma.fields.String(validate=validate.OneOf(LESSON_MEMBERS)), required=True
    )


class ModuleChangesOut(Schema):
    """What happened to modules. One that moved may have changed as well."""

    added = ma.fields.List(ma.fields.Nested(DiffItemOut), required=True)
    removed = ma.fields.List(ma.fields.Nested(DiffItemOut), required=True)
    moved = ma.fields.List(ma.fields.Nested(MovedModuleOut), required=True)
    changed = ma.fields.List(ma.fields.Nested(ChangedModuleOut), required=True)


class LessonChangesOut(Schema):
    """What happened to lessons. One that moved may have changed as well."""

    added = ma.fields.List(ma.fields.Nested(DiffItemOut), required=True)
    removed = ma.fields.List(ma.fields.Nested(DiffItemOut), required=True)
    moved = ma.fields.List(ma.fields.Nested(MovedLessonOut), required=True)
    changed = ma.fields.List(ma.fields.Nested(ChangedLessonOut), required=True)


class ContentChangesOut(Schema):
    """What happened to the content of a course from one version to another."""

    magnitude = ma.fields.String(
        required=True,
        validate=validate.OneOf(MAGNITUDES),
        metadata={
            "description": "`major`: a required lesson was added or removed, or a lesson's"
            " `required`, `weight` or `completion` changed. `none`: they are equal."
        },
    )
    modules = ma.fields.Nested(ModuleChangesOut, required=True)
    lessons = ma.fields.Nested(LessonChangesOut, required=True)


class VersionDiffOut(ContentChangesOut):
    """What changed from `base` to `target`, by lineage."""

    base = ma.fields.Nested(ComparedVersionOut, required=True)
    target = ma.fields.Nested(ComparedVersionOut, required=True)


DIFF_EXAMPLE = {
    "base": {
        "id": "01935b7f-0c2d-7a90-8e11-4b6d8f0a9c44",
        "number": 1,
        "label": "",
        "state": "published",
    },
    "target": {
        "id": "01935b80-11aa-7d02-b3c4-9a7e5d1f2c33",
        "number": 2,
        "label": "Spring revision",
        "state": "draft",
    },
    "magnitude": "major",
    "modules": {
        "added": [],
        "removed": [],
        "moved": [],
        "changed": [
            {
                "lineage_id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
                "title": "The grind",
                "members": ["title", "summary"],
            }
        ],
    },
    "lessons": {
        "added": [{"lineage_id": "01935b84-0b1f-7d6a-93c4-55d7a8e90f12", "title": "The water"}],
        "removed": [],
        "moved": [
            {
                "lineage_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
                "title": "Dialling in",
                "before": {
                    "module_lineage_id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
                    "position": 1,
                },
                "after": {
                    "module_lineage_id": "01935b82-5e10-7c3b-9f00-1d2e3f4a5b66",
                    "position": 3,
                },
            }
        ],
        "changed": [
            {
                "lineage_id": "01935b83-77c1-7e55-a1b2-c3d4e5f60718",
                "title": "Dialling in",
                "members": ["content", "completion"],
            }
        ],
    },
}
