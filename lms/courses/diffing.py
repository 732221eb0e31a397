"""What changed between two versions of a course, by lineage. Pure.

Both sides are outlines, as `lms.courses.outline` makes them and `published_versions` keeps them,
rendered or not. Ids are new in every version; a module or lesson is the same one where its lineage
is the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from uuid import UUID

Magnitude = Literal["none", "minor", "major"]
MAGNITUDES: tuple[Magnitude, ...] = ("none", "minor", "major")

MODULE_MEMBERS = ("title", "summary", "sequential")
LESSON_MEMBERS = (
    "kind",
    "title",
    "content",
    "estimated_seconds",
    "required",
    "preview",
    "weight",
    "completion",
    "availability",
    "media",
)
"""What a lesson is compared by. Its HTML is not among them: that follows from `content`."""

UNSAID: Mapping[str, Any] = {"sequential": False, "availability": None}
"""What members are in versions that were published before there were such members."""

DECISIVE = frozenset({"required", "weight", "completion"})
"""Members of a lesson that decide what completing the course takes."""

Outline: TypeAlias = Mapping[str, Any]
Node: TypeAlias = Mapping[str, Any]
"""A module or a lesson of an outline."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands.

    Attributes:
        module_lineage_id: the module of a lesson; None for a module.
        position: among its neighbours, from 1.
    """

    module_lineage_id: UUID | None
    position: int


@dataclass(frozen=True, slots=True)
class Named:
    """A module or lesson that only one of the versions has."""

    lineage_id: UUID
    title: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A module or lesson that stands elsewhere. `title` is the target's."""

    lineage_id: UUID
    title: str
    before: Place
    after: Place


@dataclass(frozen=True, slots=True)
class Changed:
    """A module or lesson whose own members changed. `title` is the target's.

    Attributes:
        members: of `MODULE_MEMBERS` or `LESSON_MEMBERS`, those that differ.
    """

    lineage_id: UUID
    title: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to the modules, or to the lessons. One that moved may have changed as well.

    Attributes:
        added: only in the target, in its order.
        removed: only in the base, in its order.
        moved: in both, but in another module, or in another order among those that stayed.
        changed: in both, with other members.
    """

    added: tuple[Named, ...]
    removed: tuple[Named, ...]
    moved: tuple[Moved, ...]
    changed: tuple[Changed, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (self.added or self.removed or self.moved or self.changed)


@dataclass(frozen=True, slots=True)
class VersionDiff:
    """What changed from one version to another.

    Attributes:
        modules: what happened to modules.
        lessons: what happened to lessons.
        magnitude: `major` when a required lesson was added or removed, or a lesson's `required`,
            `weight` or `completion` changed; `none` when the versions are equal, else `minor`.
    """

    modules: Changes
    lessons: Changes
    magnitude: Magnitude


@dataclass(frozen=True, slots=True)
class _Placed:
    node: Node
    place: Place


def diff(base: Outline, target: Outline, assets: Mapping[str, str]) -> VersionDiff:
    """Compare two versions of one course.

    Args:
        base: outline of the version that is compared with.
        target: outline of the version that is asked about.
        assets: asset id by media file id, of both versions. A file that is copied with its lesson
            gets a new id and shares its asset; a file that is replaced does not, whatever its name.
    """
    old_modules, new_modules = _modules_of(base), _modules_of(target)
    old_lessons, new_lessons = _lessons_of(base), _lessons_of(target)
    modules = _changes(old_modules, new_modules, MODULE_MEMBERS, assets)
    lessons = _changes(old_lessons, new_lessons, LESSON_MEMBERS, assets)
    return VersionDiff(modules, lessons, _magnitude(modules, lessons, old_lessons, new_lessons))


def _modules_of(outline: Outline) -> dict[str, _Placed]:
    modules = outline["modules"]
    return {
        module["lineage_id"]: _Placed(module, Place(None, position))
        for position, module in enumerate(modules, start=1)
    }


def _lessons_of(outline: Outline) -> dict[str, _Placed]:
    return {
        lesson["lineage_id"]: _Placed(lesson, Place(UUID(module["lineage_id"]), position))
        for module in outline["modules"]
        for position, lesson in enumerate(module["lessons"], start=1)
    }


def _changes(
    old: Mapping[str, _Placed],
    new: Mapping[str, _Placed],
    members: Sequence[str],
    assets: Mapping[str, str],
) -> Changes:
    return Changes(
        added=tuple(_named(lineage, new) for lineage in new if lineage not in old),
        removed=tuple(_named(lineage, old) for lineage in old if lineage not in new),
        moved=tuple(_moved(old, new)),
        changed=tuple(_changed(old, new, members, assets)),
    )


def _named(lineage: str, among: Mapping[str, _Placed]) -> Named:
    return Named(UUID(lineage), among[lineage].node["title"])


def _moved(old: Mapping[str, _Placed], new: Mapping[str, _Placed]) -> Iterator[Moved]:
    stayed: set[str] = set()
    by_module: dict[UUID | None, list[str]] = {}
    for lineage, placed in new.items():
        module = placed.place.module_lineage_id
        if lineage in old and old[lineage].place.module_lineage_id == module:
            by_module.setdefault(module, []).append(lineage)
    for lineages in by_module.values():
        kept = _longest_rising([old[lineage].place.position for lineage in lineages])
        stayed.update(lineages[index] for index in kept)
    for lineage, placed in new.items():
        if lineage in old and lineage not in stayed:
            title = placed.node["title"]
            yield Moved(UUID(lineage), title, old[lineage].place, placed.place)


def _changed(
    old: Mapping[str, _Placed],
    new: Mapping[str, _Placed],
    members: Sequence[str],
    assets: Mapping[str, str],
) -> Iterator[Changed]:
    for lineage, placed in new.items():
        if lineage not in old:
            continue
        before, after = old[lineage].node, placed.node
        differing = tuple(
            name
            for name in members
            if _member(before, name, assets) != _member(after, name, assets)
        )
        if differing:
            yield Changed(UUID(lineage), after["title"], differing)


def _member(node: Node, name: str, assets: Mapping[str, str]) -> Any:
    if name != "media":
        return node[name] if name in node else UNSAID[name]
    return [
        {**file, "media_file_id": assets.get(file["media_file_id"], file["media_file_id"])}
        for file in node["media"]
    ]


def _magnitude(
    modules: Changes,
    lessons: Changes,
    old: Mapping[str, _Placed],
    new: Mapping[str, _Placed],
) -> Magnitude:
    if modules.is_empty and lessons.is_empty:
        return "none"
    decisive = (
        any(new[str(one.lineage_id)].node["required"] for one in lessons.added)
        or any(old[str(one.lineage_id)].node["required"] for one in lessons.removed)
        or any(DECISIVE.intersection(one.members) for one in lessons.changed)
    )
    return "major" if decisive else "minor"


def _longest_rising(numbers: Sequence[int]) -> list[int]:
    """Return the indices of a longest rising subsequence: who keeps their order.

    Everybody else moved, and nobody moved who did not have to. n log n, by patience sorting.
    """
    tops: list[int] = []
    top_indices: list[int] = []
    before: list[int] = []
    for index, number in enumerate(numbers):
        pile = bisect_left(tops, number)
        before.append(top_indices[pile - 1] if pile else -1)
        if pile == len(tops):
            tops.append(number)
            top_indices.append(index)
        else:
            tops[pile], top_indices[pile] = number, index
    kept: list[int] = []
    index = top_indices[-1] if top_indices else -1
    while index >= 0:
        kept.append(index)
        index = before[index]
    return kept
