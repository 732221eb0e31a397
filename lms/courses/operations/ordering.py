"""Setting the whole order of a draft's modules and lessons in one call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from lms.core.actor import Actor
from lms.courses.errors import OrderMismatchError
from lms.courses.models import Lesson, Module
from lms.courses.operations.drafts import bump_draft

ORDER_MODULES = text("""
    UPDATE modules m SET position = o.position, version = m.version + 1
      FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS o (id, position)
     WHERE m.id = o.id AND m.version_id = :version_id AND m.position <> o.position
""")
ORDER_LESSONS = text("""
    UPDATE lessons l
       SET module_id = o.module_id, position = o.position, version = l.version + 1
      FROM unnest(CAST(:ids AS uuid[]), CAST(:modules AS uuid[]), CAST(:positions AS bigint[]))
           AS o (id, module_id, position)
     WHERE l.id = o.id AND l.version_id = :version_id
       AND (l.module_id, l.position) <> (o.module_id, o.position)
""")


@dataclass(frozen=True, slots=True)
class ModuleOrder:
    """A module, and its lessons in order."""

    id: UUID
    lesson_ids: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class ContentOrder:
    """A version's modules in order; `version` is the course version's, for the ETag."""

    version: int
    modules: Sequence[ModuleOrder]


def set_order(
    session: Session,
    actor: Actor,
    version_id: UUID,
    modules: Sequence[ModuleOrder],
    *,
    expected: int | None,
) -> ContentOrder:
    """Set the order of everything; lessons may change their module.

    A constant number of statements, whatever the size.

    Args:
        session: the organization's session.
        actor: who teaches the course, or an admin.
        version_id: the draft.
        modules: all of its modules with all of its lessons, each once.
        expected: the course version's version that the client read; None means any.

    Raises:
        NotFoundError: the actor teaches no course with this version.
        VersionPublishedError: it is frozen.
        StaleVersionError: modules or lessons were added, removed or ordered since.
        OrderMismatchError: something is missing, unknown or named twice.
    """
    version = bump_draft(session, actor, version_id, expected=expected)
    named_lessons = [lesson_id for module in modules for lesson_id in module.lesson_ids]
    _refuse_other_than(
        "modules",
        [module.id for module in modules],
        session.scalars(select(Module.id).where(Module.version_id == version_id)),
    )
    _refuse_other_than(
        "lessons",
        named_lessons,
        session.scalars(select(Lesson.id).where(Lesson.version_id == version_id)),
    )
    session.execute(
        ORDER_MODULES, {"ids": [module.id for module in modules], "version_id": version_id}
    )
    session.execute(
        ORDER_LESSONS,
        {
            "ids": named_lessons,
            "modules": [module.id for module in modules for _ in module.lesson_ids],
            "positions": [
                position
                for module in modules
                for position, _ in enumerate(module.lesson_ids, start=1)
            ],
            "version_id": version_id,
        },
    )
    return ContentOrder(version, modules)


def _refuse_other_than(what: str, named: Sequence[UUID], present: Iterable[UUID]) -> None:
    present = set(present)
    missing = sorted(str(one) for one in present.difference(named))
    unknown = sorted(str(one) for one in set(named).difference(present))
    twice = sorted(str(one) for one, times in Counter(named).items() if times > 1)
    if missing or unknown or twice:
        raise OrderMismatchError(
            f"The order must name each of the version's {what} exactly once.",
            errors=[
                {"pointer": "/modules", "message": f"These are not all the {what}, once each."}
            ],
            of=what,
            missing=missing,
            unknown=unknown,
            named_twice=twice,
        )
