"""What becomes of each row of an import, decided before anything is done for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from lms.core.texts import CONTROL, MAX_TITLE
from lms.users.emails import normalize_email
from lms.users.errors import InvalidEmailError

ENROLLMENT_CLOSED = "enrollment_closed"
FORBIDDEN = "forbidden"
RUN_FULL = "run_full"
NO_SEAT = "Every seat of this run is taken; make its capacity larger, or leave this row out."

FIND_PEOPLE = """
    SELECT u.id, u.email, u.deactivated_at IS NOT NULL AS is_deactivated,
           u.password_hash IS NOT NULL AS has_joined
      FROM users u
     WHERE u.email = ANY(CAST(:emails AS text[]))
"""
PEOPLE = text(FIND_PEOPLE)
# Whoever accepts an invitation, or is deactivated, meanwhile has done so before or does so after.
HELD_PEOPLE = text(f"{FIND_PEOPLE} ORDER BY u.id FOR SHARE")

ENROLLED = text("""
    SELECT e.user_id
      FROM enrollments e
     WHERE e.run_id = :run_id AND e.user_id = ANY(CAST(:user_ids AS uuid[]))
       AND e.state IN ('pending', 'waitlisted', 'active', 'suspended', 'completed')
""")

# A seat that comes free while others wait for one is theirs.
SEATS_LEFT = text("SELECT capacity - taken - waitlisted FROM run_seats WHERE run_id = :run_id")


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A row that nothing was decided of yet; `name` is empty when the file has none."""

    id: UUID
    line: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class RowRefusal:
    """Why a row is not done."""

    row: PendingRow
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A row that can be done.

    Attributes:
        row: which.
        user_id: whose account; None when it is yet to be made.
        has_joined: they are enrolled at once; else their seat waits for their invitation.
    """

    row: PendingRow
    user_id: UUID | None
    has_joined: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """What can be done of some rows, and what cannot, each in the file's order."""

    accepted: Sequence[Acceptance]
    refused: Sequence[RowRefusal]

    def cut_to(self, seats: int | None) -> Judgement:
        """Refuse those for whom there is no seat: the last ones in the file.

        Args:
            seats: how many are left; None when there is no end to them.
        """
        if seats is None or seats >= len(self.accepted):
            return self
        seats = max(seats, 0)
        late = [RowRefusal(one.row, RUN_FULL, NO_SEAT) for one in self.accepted[seats:]]
        return Judgement(self.accepted[:seats], [*self.refused, *late])


def check_addresses(
    rows: Sequence[PendingRow],
) -> tuple[list[PendingRow], list[RowRefusal]]:
    """Normalise the addresses of a whole file.

    Args:
        rows: all of them, as written.

    Returns:
        Rows with their addresses as accounts have them, and refusals of those that are no address
        or were named before.
    """
    good: list[PendingRow] = []
    refused: list[RowRefusal] = []
    lines: dict[str, int] = {}
    for row in rows:
        try:
            email = normalize_email(row.email)
        except InvalidEmailError as error:
            message = error.detail if row.email else "Has no address."
            refused.append(RowRefusal(row, "invalid_email", message))
            continue
        first = lines.setdefault(email, row.line)
        if first == row.line:
            good.append(PendingRow(row.id, row.line, email, row.name))
        else:
            message = f"Line {first} names the same address."
            refused.append(RowRefusal(row, "duplicate_row", message))
    return good, refused


def judge(
    session: Session, run_id: UUID, rows: Sequence[PendingRow], *, by_admin: bool, hold: bool
) -> Judgement:
    """Decide what becomes of rows, in as many statements however many they are.

    Seats are not looked at: see `Judgement.cut_to`.

    Args:
        session: the organization's session.
        run_id: where they are to be enrolled.
        rows: with normalised addresses.
        by_admin: whether an admin asks, who may invite people.
        hold: keep the accounts as they are until the transaction ends.
    """
    emails = {"emails": [row.email for row in rows]}
    people = {one.email: one for one in session.execute(HELD_PEOPLE if hold else PEOPLE, emails)}
    values = {"run_id": run_id, "user_ids": [one.id for one in people.values()]}
    enrolled = set(session.scalars(ENROLLED, values))
    accepted: list[Acceptance] = []
    refused: list[RowRefusal] = []
    for row in rows:
        person = people.get(row.email)
        if person is None:
            refusal = _refusal_of_invitation(row, by_admin=by_admin)
        else:
            refusal = _refusal_of_account(
                row,
                person,
                is_enrolled=person.id in enrolled,
                by_admin=by_admin,
            )
        if refusal is not None:
            refused.append(refusal)
        elif person is None:
            accepted.append(Acceptance(row, None, has_joined=False))
        else:
            accepted.append(Acceptance(row, person.id, person.has_joined))
    return Judgement(accepted, refused)


def seats_left(session: Session, run_id: UUID) -> int | None:
    """Return how many seats of a run are free at this moment; None when there is no end to them."""
    return session.execute(SEATS_LEFT, {"run_id": run_id}).scalar_one()


def _refusal_of_account(
    row: PendingRow, person: Row[Any], *, is_enrolled: bool, by_admin: bool
) -> RowRefusal | None:
    if person.is_deactivated and not by_admin:
        return _no_account(row)
    if person.is_deactivated:
        message = "This account is deactivated; an admin can take that back."
        return RowRefusal(row, "account_deactivated", message)
    if is_enrolled:
        message = "This learner is enrolled in the run already; leave this row out."
        return RowRefusal(row, "already_enrolled", message)
    return None


def _refusal_of_invitation(row: PendingRow, *, by_admin: bool) -> RowRefusal | None:
    if not by_admin:
        return _no_account(row)
    if not row.name:
        message = "There is no account with this address; give a name to invite this person."
        return RowRefusal(row, "name_missing", message)
    if len(row.name) > MAX_TITLE or CONTROL.search(row.name):
        message = f"The name has control characters, or more than {MAX_TITLE} characters."
        return RowRefusal(row, "invalid_name", message)
    return None


def _no_account(row: PendingRow) -> RowRefusal:
    """Refuse whom only admins know of: nobody else learns which addresses have had an account."""
    message = "There is no account with this address that you can enroll; ask an admin."
    return RowRefusal(row, "no_account", message)
