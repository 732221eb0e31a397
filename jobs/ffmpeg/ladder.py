"""The ladder: which sizes a source is encoded in. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

MAX_LONG_SIDE = 4096
"""The widest H.264 picture that players' hardware decodes (level 5.1 and below)."""

KEYFRAME_SECONDS = 2
"""The grid on which all rungs have a keyframe, so that players change rungs at any of them."""

BUFFER_SECONDS = 2
"""How far a picture may run ahead of its cap: a full buffer of a player."""

MIN_SIDE = 16
"""One macroblock; nothing smaller is a video that somebody watches."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One size of the ladder.

    Attributes:
        label: what people call it, as "720p".
        width: even, pixels, as displayed.
        height: even, pixels, as displayed.
    """

    label: str
    width: int
    height: int


def display_size(
    width: int, height: int, sample_aspect: Fraction, rotation: int
) -> tuple[int, int]:
    """Return the size in square pixels after rotation.

    Args:
        width: coded, pixels.
        height: coded, pixels.
        sample_aspect: width of a sample over its height; 1 for square ones.
        rotation: degrees of the display matrix, any sign.

    Returns:
        Width and height as displayed, pixels. Like players, stretches the width.
    """
    stretched = max(1, round(width * sample_aspect))
    # ffmpeg transposes within one degree of a quarter turn.
    if abs(rotation % 180 - 90) <= 1:
        return height, stretched
    return stretched, height


def rungs(width: int, height: int, short_sides: Sequence[int]) -> tuple[Rung, ...]:
    """Choose the sizes for a source, largest first, never larger than it.

    Args:
        width: as displayed, pixels.
        height: as displayed, pixels.
        short_sides: wanted lengths of the shorter side, pixels, in any order.

    Returns:
        At least one rung; a source smaller than every wanted size gets one at its own size.
    """
    source = min(width, height)
    wanted = sorted({side for side in short_sides if side <= source}, reverse=True) or [source]
    by_label: dict[str, Rung] = {}
    for side in wanted:
        size = _fit(width, height, side)
        # Very long pictures meet at the long side's cap, odd sides at the even one below: one of
        # them is enough, and files are named by it.
        label = f"{min(size)}p"
        by_label.setdefault(label, Rung(label, *size))
    return tuple(by_label.values())


def max_rate(rung: Rung, rate: Fraction) -> int:
    """Return the cap on a rung's video bit rate, bits per second.

    6 Mbit/s at 1080p, growing a little slower than the number of pixels, as larger pictures have
    less detail per pixel: 3 at 720p, 1.5 at 480p, 0.9 at 360p; half as much again above 30 fps.
    """
    size = 6_000_000 * (rung.width * rung.height / (1920 * 1080)) ** 0.85
    return max(150_000, int(size * (1.5 if rate > 31 else 1)))


def _fit(width: int, height: int, short_side: int) -> tuple[int, int]:
    """Scale to a short side, within the long side's cap, to even numbers."""
    scale = min(
        Fraction(short_side, min(width, height)), Fraction(MAX_LONG_SIDE, max(width, height))
    )
    return _even(width * scale), _even(height * scale)


def _even(length: Fraction) -> int:
    """Return the nearest even number: 4:2:0 halves both sides. Odd lengths go down."""
    whole = int(length)
    if length - whole == 0:
        return max(2, whole - whole % 2)
    return max(2, 2 * round(length / 2))
