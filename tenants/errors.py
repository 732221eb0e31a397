"""What can go wrong on the ground floor. The upper floors map these to answers."""

from __future__ import annotations


class TenancyError(Exception):
    """Base of all errors of this package."""


class UnboundSessionError(TenancyError):
    """A session was used without saying whose data it may reach."""


class OrganizationNotFoundError(TenancyError):
    """No such organization, or it cannot be entered in its present state.

    Unknown and suspended look the same on purpose: fail rather than reveal.
    """


class OrganizationMigratingError(TenancyError):
    """The organization's schema is at a revision that this code does not serve; try again soon."""


class SlugTakenError(TenancyError):
    """Another organization already has this slug or host."""


class InvalidSlugError(TenancyError):
    """The slug cannot be a host label, or is reserved for the platform."""


class NotMigratedError(TenancyError):
    """The platform schema is not at the revision that this code needs."""


class DatabaseUnavailableError(TenancyError):
    """PostgreSQL did not answer, or the connection pool is exhausted; try again soon."""


class DatabaseOverloadedError(DatabaseUnavailableError):
    """PostgreSQL answers, but cannot do this: a statement took too long, memory or disk is full.

    Whoever repeats what a database that was away lost must not repeat this for ever.
    """


class StalePlanError(DatabaseUnavailableError):
    """A migration changed a column's type under a prepared statement.

    The transaction is rolled back and its connection has forgotten the statement, so the same work
    may be repeated at once. Whoever waits for a database that is away repeats for this too.
    """
