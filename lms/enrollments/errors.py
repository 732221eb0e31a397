"""Refusals of the enrollments room."""

from __future__ import annotations

from lms.core.errors import ConflictError


class TransitionNotAllowedError(ConflictError):
    """An enrollment in this state cannot become that; `allowed` lists what it can become."""

    code = "transition_not_allowed"
    remedy = "Choose a step to one of the states in `allowed`; where there is none, enroll again."


class NothingToApproveError(ConflictError):
    """The enrollment does not wait for approval; `state` and `awaiting` say for what it does."""

    code = "nothing_to_approve"
    remedy = "Read the enrollment again: somebody has decided, or it has ended."


class NothingToExtendError(ConflictError):
    """The enrollment has no end that could be put off; `state` and `awaiting` say why."""

    code = "nothing_to_extend"
    remedy = "Enroll the learner anew."


class RunFullError(ConflictError):
    """Every seat of the run is taken.

    A purchase is told `capacity`, how many are `waitlisted`, and `next_hold_until`: when the next
    unpaid seat may come free.
    """

    code = "run_full"
    remedy = (
        "Wait for a seat (`wait` when enrolling), choose another run, or make the capacity larger."
    )
