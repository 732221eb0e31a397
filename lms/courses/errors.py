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
    remedy = "Archive its runs and versions instead; what learners were promised stays."


class NotCourseOwnerError(ForbiddenError):
    """Only the course's owner and admins choose who teaches it."""

    code = "not_course_owner"
    remedy = "Ask the course's owner or an admin."


class InstructorNotFoundError(NotFoundError):
    """There is no such user who teaches, or could teach."""

    code = "instructor_not_found"
    remedy = "Choose an active instructor, or one of the course's own to take away."


class OwnerNotRemovableError(ConflictError):
    """A course without its owner would be nobody's."""

    code = "owner_not_removable"
    remedy = "Take away a co-instructor; the owner stays."


class DraftExistsError(ConflictError):
    """The course has a draft already; it has at most one."""

    code = "draft_exists"
    remedy = "Go on in the draft, or publish it first."


class VersionPublishedError(ConflictError):
    """The version is published or archived, so its content is frozen."""

    code = "version_published"
    remedy = "Make a new draft of the course, and change that."


class VersionNotPublishedError(ConflictError):
    """Only a published version can be used for this."""

    code = "version_not_published"
    remedy = "Publish the version, or name a published one of the course."


class VersionNotReadyError(ConflictError):
    """The preflight found something; `problems` lists everything at once."""

    code = "version_not_ready"
    remedy = "Mend everything that `problems` names, and publish again."


class NoBaseVersionError(ConflictError):
    """There is no earlier version that this one could be compared with."""

    code = "no_base_version"
    remedy = "Name the version to compare with as `base`."


class VersionFullError(ConflictError):
    """The version has as many modules or lessons as one version may have."""

    code = "version_full"
    remedy = "Delete what is not needed, or make a second course."


class OrderMismatchError(InvalidInputError):
    """The order does not name exactly the version's modules and lessons."""

    code = "order_mismatch"
    remedy = "Read the content again, and name each module and lesson once."


class CapacityBelowTakenError(ConflictError):
    """More seats are taken than the new capacity allows."""

    code = "capacity_below_taken"
    remedy = "Offer at least the seats that are taken, or let learners withdraw first."


class RunHasLearnersError(ConflictError):
    """Someone holds a seat, so this part of the run can no longer change."""

    code = "run_has_learners"
    remedy = "Upgrade the run, which moves its learners too."


class RunStateNotAllowedError(ConflictError):
    """A run does not go from its state to the one asked for."""

    code = "run_state_not_allowed"
    remedy = "Choose a state that `allowed` names; where there is none, run the course again."


class VersionNotNewerError(ConflictError):
    """The run, and everybody in it, is in this version or a newer one already."""

    code = "version_not_newer"
    remedy = "Publish a newer version of the course, or name one."


class InvalidArchiveError(InvalidInputError):
    """It is no archive of a course version; `entry` names the file that is wrong."""

    code = "invalid_archive"
    remedy = "Export the version again, and send the file as it came."


class ArchiveFormatError(InvalidInputError):
    """The archive is of another format, or of a newer version of it than is known here."""

    code = "archive_format_unsupported"
    remedy = "Export the version anew from an installation that is not newer than this one."


class ArchiveTooLargeError(DomainError):
    """A file of the archive is larger than what is taken, however small it is packed."""

    kind = "too_large"
    code = "archive_too_large"
    remedy = "Split the version: put a part of its modules into another course."
