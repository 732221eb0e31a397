"""What the rules of courses, content and runs refuse."""

from __future__ import annotations

from lms.core.errors import (
    ConflictError,
    DomainError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)


class CourseInUseError(ConflictError):
    """Runs or published versions still hold the course."""

    code = "course_in_use"


class NotCourseOwnerError(ForbiddenError):
    """Only the course's owner and admins choose who teaches it."""

    code = "not_course_owner"


class InstructorNotFoundError(NotFoundError):
    """There is no such user who teaches, or could teach."""

    code = "instructor_not_found"


class OwnerNotRemovableError(ConflictError):
    """A course without its owner would be nobody's."""

    code = "owner_not_removable"


class DraftExistsError(ConflictError):
    """The course has a draft already; it has at most one."""

    code = "draft_exists"


class VersionPublishedError(ConflictError):
    """The version is published or archived, so its content is frozen."""

    code = "version_published"


class VersionNotPublishedError(ConflictError):
    """Only a published version can be used for this."""

    code = "version_not_published"


class VersionNotReadyError(ConflictError):
    """The preflight found something; `problems` lists everything at once."""

    code = "version_not_ready"


class NoBaseVersionError(ConflictError):
    """There is no earlier version that this one could be compared with."""

    code = "no_base_version"


class VersionFullError(ConflictError):
    """The version has as many modules or lessons as one version may have."""

    code = "version_full"


class OrderMismatchError(InvalidInputError):
    """The order does not name exactly the version's modules and lessons."""

    code = "order_mismatch"


class CapacityBelowTakenError(ConflictError):
    """More seats are taken than the new capacity allows."""

    code = "capacity_below_taken"


class RunHasLearnersError(ConflictError):
    """Someone holds a seat, so this part of the run can no longer change."""

    code = "run_has_learners"


class RunStateNotAllowedError(ConflictError):
    """A run does not go from its state to the one asked for."""

    code = "run_state_not_allowed"


class VersionNotNewerError(ConflictError):
    """The run, and everybody in it, is in this version or a newer one already."""

    code = "version_not_newer"


class InvalidArchiveError(InvalidInputError):
    """It is no archive of a course version; `entry` names the file that is wrong."""

    code = "invalid_archive"


class ArchiveFormatError(InvalidInputError):
    """The archive is of another format, or of a newer version of it than is known here."""

    code = "archive_format_unsupported"


class ArchiveTooLargeError(DomainError):
    """A file of the archive is larger than what is taken, however small it is packed."""

    kind = "too_large"
    code = "archive_too_large"
