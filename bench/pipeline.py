"""CPU, wall and memory of a whole transcode job, beside the plain ffmpeg command of its ladder.

`python -m bench.pipeline ours WORK ORGANIZATION` does a row of work as a worker's child does and
prints what it took; `python -m bench.pipeline plain CLIP` runs the bare command.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from bench.report import ROOT, Cell, Context, Report, Target, UnmeasurableError
from bench.studio import Studio, require_published, running_studio, upload, waiting_work
from jobs import horse
from jobs.ffmpeg import command, inspection, ladder, process
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.verify import tolerance_seconds
from lms.config import Settings
from lms.media import transcoding
from lms.media.models import Video
from lms.media.transcoding_settings import DEFAULT_LADDER

MEDIA = ROOT.parent / "shared" / "media"
TIMES, SECONDS = 1.1, 2.0
"""CPU to stay below: so many times the plain command's, and seconds on top."""

STEPS = ("probe", "encode", "verify", "stills")
NOTES = (
    (
        "Ours is the job of a worker's child from claim to publication: claim, fetch, probe, encode"
        " under limits with progress and lease, verification of every rendition, poster and"
        " thumbnails, storing, publishing; CPU of its children included, PostgreSQL's not. All"
        " renditions are published at once: its wall time is the time until the video plays."
    ),
    (
        "Plain is the same ffmpeg command, from the same arguments, on a file that is there."
        " Both take turns; medians over rounds. Plain encodes every rung, also where ours copies"
        " a source that fits into the largest."
    ),
    (
        "The last four are what stands around our encode, CPU s: looking into the source, reading"
        " through every rendition, the stills, and the job's own process with its database."
    ),
    (
        "MiB is the memory of the largest process among a job's children: the encode's. A worker"
        " runs one job at a time, so each worker needs as much."
    ),
)


@dataclass(frozen=True, slots=True)
class Took:
    """What something took; times in seconds.

    Attributes:
        wall: on the clock.
        cpu: of it and all its children.
        memory_bytes: of its largest child, at its peak.
        steps: CPU of the children by what they do; what is left of `cpu` is our own process.
    """

    wall: float
    cpu: float
    memory_bytes: int
    steps: dict[str, float] = field(default_factory=dict)


def run(context: Context) -> Report:
    """Measure a rendered clip, and the sample clips where there are any.

    Raises:
        UnmeasurableError: a job or a command failed.
    """
    report = Report(
        "Transcoding, from claim to publication",
        [
            *("Clip", "Plain CPU s", "Ours CPU s", "Ours / plain", "Plain wall s", "Ours wall s"),
            *("Plain MiB", "Ours MiB", "Probe", "Verify", "Stills", "Own"),
        ],
        notes=list(NOTES),
    )
    rounds = 1 if context.quick else 3
    with running_studio(context) as studio, tempfile.TemporaryDirectory() as folder:
        for clip in _clips(context, Path(folder)):
            with context.console.status(f"transcode {clip.stem}"):
                plain, ours = _measure(studio, clip, rounds)
            report.rows.append(_row(clip.stem, plain, ours))
            report.targets.append(_target(clip.stem, plain, ours))
            report.details[clip.stem] = {
                "plain": [asdict(one) for one in plain],
                "ours": [asdict(one) for one in ours],
            }
    return report


def main(arguments: Sequence[str]) -> None:
    """Measure one job or one command in this process; print a line of JSON."""
    kind, *rest = arguments
    if kind == "ours":
        _fork(lambda: _tell(_do_work(*rest)))
    else:
        _tell(_encode_plainly(Path(*rest)))


def _fork(step: Callable[[], None]) -> None:
    """Run a step in a child, as RQ does: a job hands itself back when its parent is another.

    Raises:
        ChildProcessError: it failed; why is on standard error.
    """
    horse.prepare(Settings.from_environment())
    child = multiprocessing.get_context("fork").Process(target=step)
    child.start()
    child.join()
    if child.exitcode != 0:
        raise ChildProcessError(f"the job's process ended with status {child.exitcode}")


def _tell(took: Took) -> None:
    sys.stdout.write(json.dumps(asdict(took)) + "\n")


def _do_work(work_id: str, organization_id: str) -> Took:
    steps: dict[str, float] = dict.fromkeys(STEPS, 0.0)
    execute = process.run

    def watched(argv: Sequence[str], **options: Any) -> process.Finished:
        finished = execute(argv, **options)
        steps[_step(argv)] += finished.cpu_seconds
        return finished

    process.run = watched
    return _timed(lambda: horse.run(work_id, organization_id), steps)


def _step(argv: Sequence[str]) -> str:
    for name in ("probe", "verify"):
        if f"jobs.ffmpeg.{name}" in argv:
            return name
    return "encode" if "-progress" in argv else "stills"


def _encode_plainly(clip: Path) -> Took:
    limits = Limits()
    found = inspection.inspect(clip, limits.max_pixels)
    size = ladder.display_size(found.width, found.height, found.sample_aspect, found.rotation)
    line = command.encode_command(
        imageio_ffmpeg.get_ffmpeg_exe(),
        clip,
        found,
        ladder.rungs(*size, DEFAULT_LADDER),
        constant_rate(found.frame_rate),
        read_seconds=found.duration_seconds + tolerance_seconds(found.duration_seconds),
        max_pixels=limits.max_pixels,
        tone_map=False,
        copies_top=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        return _timed(
            lambda: subprocess.run(line, cwd=folder, stdout=subprocess.DEVNULL, check=True), {}
        )


def _timed(step: Callable[[], object], steps: dict[str, float]) -> Took:
    began, before = time.perf_counter(), os.times()
    step()
    wall, after = time.perf_counter() - began, os.times()
    # The last member is the clock's.
    cpu = sum(after[:4]) - sum(before[:4])
    # Linux counts in KiB.
    memory_bytes = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return Took(wall, cpu, memory_bytes, steps)


def _clips(context: Context, folder: Path) -> Iterator[Path]:
    """Yield what to convert: a rendered clip, then the samples."""
    clip = folder / "rendered_720p.mp4"
    seconds = 10 if context.quick else 20
    line = [
        *(imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y"),
        *("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={seconds}"),
        *("-f", "lavfi", "-i", f"sine=duration={seconds}"),
        # Noise, as pictures from a camera have it.
        *("-vf", "noise=alls=6:allf=t", "-c:v", "libx264", "-preset", "veryfast"),
        *("-pix_fmt", "yuv420p", "-c:a", "aac", "-movflags", "+faststart", str(clip)),
    ]
    subprocess.run(line, check=True)
    yield clip
    samples = sorted(path for path in MEDIA.glob("*") if path.suffix in {".mp4", ".webm"})
    if not samples:
        context.console.print("Without the sample clips: their folder is not here.")
    yield from samples[:1] if context.quick else samples


def _measure(studio: Studio, clip: Path, rounds: int) -> tuple[list[Took], list[Took]]:
    """Return what the plain command took and what the job took; they take turns."""
    video_id = upload(studio, clip)
    plain: list[Took] = []
    ours: list[Took] = []
    for number in range(rounds):
        if number:
            with studio.database.transaction(studio.scope) as session:
                video = session.get_one(Video, video_id)
                transcoding.begin_again(session, studio.doorbell, video)
        plain.append(_in_a_process(studio, "plain", str(clip)))
        work = str(waiting_work(studio))
        ours.append(_in_a_process(studio, "ours", work, str(studio.scope.id)))
        require_published(studio, video_id)
    return plain, ours


def _in_a_process(studio: Studio, *arguments: str) -> Took:
    settings = studio.settings
    environment = {
        **os.environ,
        **studio.place.environment,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key,
        "STORAGE_PATH": str(settings.storage_path),
        "SCRATCH_PATH": str(settings.scratch_path),
    }
    done = subprocess.run(
        [sys.executable, "-m", "bench.pipeline", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnmeasurableError(f"{arguments[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    # The job logs to standard output too; the figures come last.
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def _row(clip: str, plain: Sequence[Took], ours: Sequence[Took]) -> list[Cell]:
    cpu_plain, cpu_ours = _median_cpu(plain), _median_cpu(ours)
    steps = {step: statistics.median(one.steps[step] for one in ours) for step in STEPS}
    own = statistics.median(one.cpu - sum(one.steps.values()) for one in ours)
    return [
        clip,
        cpu_plain,
        cpu_ours,
        cpu_ours / cpu_plain,
        statistics.median(one.wall for one in plain),
        statistics.median(one.wall for one in ours),
        _median_mebibytes(plain),
        _median_mebibytes(ours),
        steps["probe"],
        steps["verify"],
        steps["stills"],
        own,
    ]


def _target(clip: str, plain: Sequence[Took], ours: Sequence[Took]) -> Target:
    return Target(
        f"CPU s of {clip}: at most {TIMES} x plain + {SECONDS:g} s",
        _median_cpu(ours),
        TIMES * _median_cpu(plain) + SECONDS,
        at_most=True,
    )


def _median_cpu(rounds: Sequence[Took]) -> float:
    return statistics.median(one.cpu for one in rounds)


def _median_mebibytes(rounds: Sequence[Took]) -> float:
    return statistics.median(one.memory_bytes for one in rounds) / 1024**2


if __name__ == "__main__":
    main(sys.argv[1:])
