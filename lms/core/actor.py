"""Who acts: handed to every operation, never fetched from thin air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, LiteralString
from uuid import UUID

AccountType = Literal["student", "instructor", "admin"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A signed-in user of an organization.

    Attributes:
        user_id: the user.
        account_type: decides, with ownership, what they may do.
        session_id: the sign-in that the access token belongs to.
    """

    user_id: UUID
    account_type: AccountType
    session_id: UUID

    @property
    def is_admin(self) -> bool:
        """Whether everything in the organization is open to them."""
        return self.account_type == "admin"

    @property
    def is_staff(self) -> bool:
        """Whether they teach or administer."""
        return self.account_type in ("instructor", "admin")


@dataclass(frozen=True, slots=True)
class PlatformActor:
    """A signed-in super-admin."""

    admin_id: UUID
    session_id: UUID


@dataclass(frozen=True, slots=True)
class ActorQuery:
    """How one side finds who acts.

    Attributes:
        sql: takes the subject's id as `$1` and the sign-in's as `$2`; finds no row when the sign-in
            has ended or the account is deactivated.
        make: from the row and the id of the sign-in.
    """

    sql: LiteralString
    make: Callable[[tuple[Any, ...], UUID], Actor | PlatformActor]
