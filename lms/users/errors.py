"""What can go wrong with accounts and sign-ins."""

from __future__ import annotations

from lms.core.errors import (
    ConflictError,
    DomainError,
    InvalidInputError,
    NotFoundError,
    RecordedRefusalError,
    UnauthenticatedError,
)


class InvalidCredentialsError(UnauthenticatedError):
    """Unknown e-mail, wrong password, deactivated or not yet joined: one answer for all."""

    code = "invalid_credentials"

    def __init__(self) -> None:
        super().__init__("This e-mail address and password do not go together here.")


class CredentialsChangedError(InvalidCredentialsError):
    """The hash that was checked is not the stored one any more: renewed, replaced, or gone."""


class TooManySignInsError(DomainError):
    """All that may hash passwords at once are busy; waiting longer would block everybody else."""

    kind = "unavailable"
    code = "busy"

    def __init__(self) -> None:
        super().__init__("Too many people are signing in at this moment. Try again shortly.")


class RefreshTokenReusedError(RecordedRefusalError):
    """A refresh token came a second time: it may be stolen, so the whole sign-in ends."""

    kind = "unauthenticated"
    code = "refresh_token_reused"


class InvalidInvitationError(InvalidInputError):
    """Unknown, used, replaced or expired: one answer for all."""

    code = "invalid_invitation"

    def __init__(self) -> None:
        message = "This invitation does not hold (any more); ask an administrator for a new one."
        super().__init__(message, errors=[{"pointer": "/token", "message": message}])


class InvalidEmailError(InvalidInputError):
    """Not an address that mail can be sent to."""

    code = "invalid_email"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[{"pointer": "/email", "message": message}])


class WeakPasswordError(InvalidInputError):
    """The password breaks the policy of `lms.users.passwords`."""

    code = "weak_password"

    def __init__(self, message: str) -> None:
        super().__init__(message, errors=[{"pointer": "/password", "message": message}])


class EmailTakenError(ConflictError):
    """The address has an account that has joined or is deactivated: nobody to invite."""

    code = "email_taken"

    def __init__(self, email: str) -> None:
        super().__init__(f"There is already an account with the address {email}.", email=email)


class LastAdminError(ConflictError):
    """Nobody would be left to administer the organization."""

    code = "last_admin"

    def __init__(self) -> None:
        super().__init__(
            "This is the organization's last active administrator; make another one first."
        )


class UserNotFoundError(NotFoundError):
    """No such user in this organization."""

    code = "not_found"

    def __init__(self) -> None:
        super().__init__("There is no such user.")
