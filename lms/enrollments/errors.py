"""Refusals of the enrollments room."""

from __future__ import annotations

from lms.core.errors import ConflictError


class TransitionNotAllowedError(ConflictError):
    """An enrollment in this state cannot become that; `allowed` lists what it can become."""

    code = "transition_not_allowed"


class RunFullError(ConflictError):
    """Every seat of the run is taken.

    A purchase is told `capacity` and `next_hold_until`, when the next unpaid seat may come free.
    """

    code = "run_full"
