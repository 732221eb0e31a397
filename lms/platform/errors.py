"""What can go wrong on the platform's side."""

from __future__ import annotations

from lms.core.errors import ConflictError, DomainError, InvalidInputError, NotFoundError


class UnknownOrganizationError(NotFoundError):
    """No organization has this id or slug."""

    def __init__(self, slug: str | None = None) -> None:
        super().__init__(
            "There is no such organization."
            if slug is None
            else f"There is no organization with the slug {slug!r}."
        )


class UnknownJobError(NotFoundError):
    """No row of the queue has this id."""

    def __init__(self) -> None:
        super().__init__("There is no such job.")


class OrganizationStateError(ConflictError):
    """The organization is in another state than this needs."""

    code = "organization_state"

    def __init__(self, state: str) -> None:
        super().__init__(f"The organization is {state}; this is not possible now.", state=state)


class JobNotFailedError(ConflictError):
    """Only a job that gave up can be tried again."""

    code = "job_not_failed"

    def __init__(self, state: str) -> None:
        super().__init__(f"The job is {state}; only a failed job can be tried again.", state=state)


class JobAlreadyOpenError(ConflictError):
    """The same work has been asked for again since this job failed."""

    code = "job_already_open"

    def __init__(self) -> None:
        super().__init__("A newer job for the same subject is waiting or running already.")


class UnknownCurrencyError(InvalidInputError):
    """Not an ISO 4217 currency with minor units."""

    code = "unknown_currency"

    def __init__(self, code: str) -> None:
        message = f"{code!r} is not an ISO 4217 currency (EUR, USD, JPY, ...)."
        super().__init__(message, errors=[{"pointer": "/currency", "message": message}])


class UnknownTimeZoneError(InvalidInputError):
    """Not a name of the IANA time zone database."""

    code = "unknown_time_zone"

    def __init__(self, name: str) -> None:
        message = f"{name!r} is not an IANA time zone (Europe/Lisbon, UTC, ...)."
        super().__init__(message, errors=[{"pointer": "/time_zone", "message": message}])


class ProvisioningUnavailableError(DomainError):
    """This process cannot reach the database as the owner of the schemas."""

    kind = "unavailable"
    code = "provisioning_unavailable"

    def __init__(self) -> None:
        super().__init__(
            "Organizations cannot be created here right now: the database is not reachable as"
            " DATABASE_ADMIN_URL."
        )
