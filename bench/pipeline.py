"""CPU and wall of a whole transcode job, beside the plain ffmpeg command of the same ladder.

`python -m bench.pipeline ours WORK ORGANIZATION` does a row of work as a worker's child does and
prints what it took; `python -m bench.pipeline plain CLIP` runs the bare command.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import imageio_ffmpeg
from sqlalchemy import select, text

from bench.fill import Filled, filled
from bench.report import ROOT, Cell, Context, Report, Target, UnmeasurableError
from bench.stage import SECRET_KEY
from jobs import horse
from jobs.ffmpeg import command, inspection, ladder, process
from jobs.ffmpeg.limits import Limits
from jobs.ffmpeg.rate import constant_rate
from jobs.ffmpeg.verify import tolerance_seconds
from lms.compose import create_database, create_storage
from lms.config import Settings
from lms.core.ids import new_id
from lms.core.queue import Doorbell
from lms.core.storage.base import Storage
from lms.embedded import EmbeddedRedis
from lms.media import operations, transcoding, uploads
from lms.media.models import MediaAsset, Video
from lms.platform.provisioning import FirstAdmin, Owner, create_organization
from lms.users.models import User
from tenants.provisioning import NewOrganization
from tenants.session import PLATFORM, Database, OrganizationScope

MEDIA = ROOT.parent / "shared" / "media"
TIMES, SECONDS = 1.1, 2.0
"""CPU to stay below: so many times the plain command's, and seconds on top."""

STEPS = ("probe", "encode", "verify", "poster")
NOTES = (
    (
        "Ours is the job of a worker's child from claim to publication: claim, fetch, probe, encode"
        " under limits with progress and lease, verification of every rendition, poster, storing,"
        " publishing; CPU of its children included, PostgreSQL's not."
    ),
    (
        "Plain is the same ffmpeg command, from the same arguments, on a file that is there."
        " Both take turns; medians over rounds."
    ),
    (
        "The last four are what stands around our encode, CPU s: looking into the source, reading"
        " through every rendition, the poster, and the job's own process with its database."
    ),
)


@dataclass(frozen=True, slots=True)
class Took:
    """What something took, seconds.

    Attributes:
        wall: on the clock.
        cpu: of it and all its children.
        steps: CPU of the children by what they do; what is left of `cpu` is our own process.
    """

    wall: float
    cpu: float
    steps: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Academy:
    """An organization that videos can be uploaded to."""

    place: Filled
    settings: Settings
    database: Database
    storage: Storage
    doorbell: Doorbell
    scope: OrganizationScope


def run(context: Context) -> Report:
    """Measure a rendered clip, and the sample clips where there are any.

    Raises:
        UnmeasurableError: a job or a command failed.
    """
    report = Report(
        "Transcoding, from claim to publication",
        [
            *("Clip", "Plain CPU s", "Ours CPU s", "Ours / plain", "Plain wall s", "Ours wall s"),
            *("Probe", "Verify", "Poster", "Own"),
        ],
        notes=list(NOTES),
    )
    rounds = 1 if context.quick else 3
    with _academy(context) as academy, tempfile.TemporaryDirectory() as folder:
        for clip in _clips(context, Path(folder)):
            with context.console.status(f"transcode {clip.stem}"):
                plain, ours = _measure(academy, clip, rounds)
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
    return "encode" if "-progress" in argv else "poster"


def _encode_plainly(clip: Path) -> Took:
    limits = Limits()
    found = inspection.inspect(clip, limits.max_pixels)
    size = ladder.display_size(found.width, found.height, found.sample_aspect, found.rotation)
    line = command.encode_command(
        imageio_ffmpeg.get_ffmpeg_exe(),
        clip,
        found,
        ladder.rungs(*size, transcoding.DEFAULT_LADDER),
        constant_rate(found.frame_rate),
        read_seconds=found.duration_seconds + tolerance_seconds(found.duration_seconds),
        max_pixels=limits.max_pixels,
        tone_map=False,
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
    return Took(wall, cpu, steps)


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


@contextmanager
def _academy(context: Context) -> Iterator[Academy]:
    """Make an organization on servers of its own."""
    folder = Path(tempfile.mkdtemp(dir=context.home, prefix="pipeline-"))
    redis = EmbeddedRedis(folder / "redis")
    try:
        with filled(context, 0) as place:
            redis.start()
            settings = Settings(
                database_url=place.app_url,
                database_admin_url=place.admin_url,
                redis_url=redis.url,
                secret_key=SECRET_KEY,
                storage_path=folder / "storage",
                scratch_path=folder / "scratch",
            )
            organization_id = new_id()
            create_organization(
                Owner(place.admin_url, place.app_url),
                NewOrganization(organization_id, "films", "Films"),
                FirstAdmin("first.admin@example.test", "First Admin"),
                actor_id=None,
            )
            database = create_database(settings)
            try:
                yield Academy(
                    place=place,
                    settings=settings,
                    database=database,
                    storage=create_storage(settings),
                    doorbell=Doorbell(redis.url),
                    scope=OrganizationScope(organization_id),
                )
            finally:
                database.dispose()
    finally:
        redis.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(academy: Academy, clip: Path, rounds: int) -> tuple[list[Took], list[Took]]:
    """Return what the plain command took and what the job took; they take turns."""
    video_id = _upload(academy, clip)
    plain: list[Took] = []
    ours: list[Took] = []
    for number in range(rounds):
        if number:
            with academy.database.transaction(academy.scope) as session:
                video = session.get_one(Video, video_id)
                transcoding.begin_again(session, academy.doorbell, video)
        plain.append(_in_a_process(academy, "plain", str(clip)))
        work = str(_waiting_work(academy))
        ours.append(_in_a_process(academy, "ours", work, str(academy.scope.id)))
        _require_published(academy, video_id)
    return plain, ours


def _upload(academy: Academy, clip: Path) -> UUID:
    """Store a clip as a completed upload; return the id of its video, which is queued by that."""
    asset_id = new_id()
    key = operations.storage_key(academy.scope.id, asset_id)
    academy.storage.upload_file(clip, key, content_type="video/mp4")
    size = clip.stat().st_size
    with academy.database.transaction(academy.scope) as session:
        asset = MediaAsset(
            id=asset_id,
            kind="unknown",
            content_type="video/mp4",
            size=size,
            storage_key=key,
            upload_id="done",
            created_by=session.scalars(select(User.id)).one(),
        )
        session.add(asset)
    found = uploads.complete(academy.storage, key=key, upload_id="done", size=size, sha256=None)
    with academy.database.transaction(academy.scope) as session:
        operations.settle_upload(session, academy.doorbell, asset_id, found)
        return session.scalars(select(Video.id).where(Video.asset_id == asset_id)).one()


def _waiting_work(academy: Academy) -> UUID:
    with academy.database.transaction(PLATFORM) as session:
        return session.scalars(text("SELECT id FROM platform.work WHERE state = 'waiting'")).one()


def _require_published(academy: Academy, video_id: UUID) -> None:
    """Make sure that the job did what was measured.

    Raises:
        UnmeasurableError: the video is not ready, or the work not done.
    """
    with academy.database.transaction(academy.scope) as session:
        state = session.get_one(Video, video_id).state
    with academy.database.transaction(PLATFORM) as session:
        left = session.scalars(text("SELECT error FROM platform.work WHERE state <> 'done'")).all()
    if state != "ready" or left:
        raise UnmeasurableError(f"The video is {state}; work left over: {left}")


def _in_a_process(academy: Academy, *arguments: str) -> Took:
    settings = academy.settings
    environment = {
        **os.environ,
        **academy.place.environment,
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
        steps["probe"],
        steps["verify"],
        steps["poster"],
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


if __name__ == "__main__":
    main(sys.argv[1:])
