"""Look into a source: `python -m jobs.ffmpeg.probe FILE MAX_PIXELS` prints one line of JSON.

PyAV, because the embedded ffmpeg comes without ffprobe. It parses hostile bytes, so `probe` runs
it in a child process under the same limits as ffmpeg.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

from av.error import FFmpegError
from av.error import MemoryError as OutOfMemoryError

from jobs.ffmpeg import failures, process
from jobs.ffmpeg.errors import PermanentMediaError, TransientMediaError
from jobs.ffmpeg.inspection import inspect
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.source import Source


def probe(
    source: Path,
    workdir: Path,
    limits: Limits,
    *,
    on_tick: Callable[[], None],
    tick_seconds: float,
) -> tuple[Source, float]:
    """Look into a source, in a child process under limits.

    Args:
        source: the file.
        workdir: an existing directory for the child to work in.
        limits: bounds on the media and on the child.
        on_tick: called at least every `tick_seconds`; may raise to abort.
        tick_seconds: seconds.

    Returns:
        What was found, and the CPU seconds it took.

    Raises:
        PermanentMediaError: not a video, no picture, unreadable, encrypted, too large.
        TransientMediaError: the child was killed or ran out of time.
    """
    if not source.is_file():
        raise TransientMediaError("source_missing", f"{source.name} is not there")
    lines: list[str] = []
    bounds = limits.for_inspection()
    finished = process.run(
        [
            sys.executable,
            "-m",
            "jobs.ffmpeg.probe",
            str(source.resolve()),
            str(limits.max_pixels),
        ],
        limits=bounds,
        cwd=workdir,
        tick_seconds=tick_seconds,
        on_tick=on_tick,
        on_line=lines.append,
    )
    failures.raise_for(finished, bounds)
    if not lines:
        raise PermanentMediaError("unreadable", failures.UNREADABLE, detail=finished.stderr)
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise PermanentMediaError(**answer["error"])
    return Source.from_json(lines[-1]), finished.cpu_seconds


def main(arguments: list[str]) -> None:
    """Print a `Source`, or `{"error": {"code", "message", "detail"}}`, as one line of JSON."""
    path, max_pixels = arguments
    try:
        line = inspect(Path(path), int(max_pixels)).to_json()
    except OutOfMemoryError as error:
        line = _failure(PermanentMediaError("too_complex", failures.TOO_COMPLEX, detail=str(error)))
    except FFmpegError as error:
        line = _failure(PermanentMediaError("unreadable", failures.UNREADABLE, detail=str(error)))
    except PermanentMediaError as error:
        line = _failure(error)
    sys.stdout.write(line + "\n")


def _failure(error: PermanentMediaError) -> str:
    return json.dumps(
        {"error": {"code": error.code, "message": error.message, "detail": error.detail}}
    )


if __name__ == "__main__":
    main(sys.argv[1:])
