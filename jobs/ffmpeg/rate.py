"""Chooses the constant frame rate of all rungs."""

from __future__ import annotations

from fractions import Fraction

MAX_RATE = Fraction(60)
_FALLBACK = Fraction(30)
_PLAUSIBLE = (Fraction(1), Fraction(300))
"""Slide shows have about one picture a second, slow-motion cameras take up to 240. Beyond that the
file's clock is wrong, not its picture."""
_STANDARD = tuple(
    Fraction(rate)
    for rate in (
        "24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60",
    )
)  # fmt: skip
_TOLERANCE = Fraction(5, 10_000)
"""Half of the distance between 30 and 30000/1001: an average that close to a standard rate is that
rate, measured on a phone's wandering clock."""


def constant_rate(average: Fraction | None) -> Fraction:
    """Return the frame rate to encode in, frames per second.

    Args:
        average: the source's average rate; None where unknown.

    Returns:
        The standard rate that the average means, else the average, at most 60; 30 where the
        average is absurd or missing.
    """
    if average is None or not _PLAUSIBLE[0] <= average <= _PLAUSIBLE[1]:
        return _FALLBACK
    capped = min(average, MAX_RATE)
    nearest = min(_STANDARD, key=lambda standard: abs(standard - capped))
    if abs(nearest - capped) <= nearest * _TOLERANCE:
        return nearest
    return capped.limit_denominator(1001)
