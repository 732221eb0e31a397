"""The `lms` program: as little as possible before an interrupt is answered in one word."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Load the commands, which takes a second or two, and run the one that was asked for."""
    gc.disable()  # what is loaded stays: looking through it takes a quarter of the time
    try:
        from lms.cli import main as command  # noqa: PLC0415 - Ctrl-C may come while it loads
    except KeyboardInterrupt:
        sys.exit(130)
    gc.freeze()
    gc.enable()
    command()
