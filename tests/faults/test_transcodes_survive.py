"""Transcodes under a storm of faults: each video is published exactly once, and soon again."""

from __future__ import annotations

import os
import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Row, text

from tenants import names
from tests.factories.jobs import LEASE_SECONDS
from tests.factories.media import make_clip
from tests.faults.faults import Faults
from tests.faults.history import History
from tests.faults.recovery import Recovery, failed_attempts, recoveries, timeline
from tests.faults.stand import Stand, fresh_slug, running_stand
from tests.faults.storm import Storm, strikes_on
from tests.faults.videos import Teacher, make_teacher

SLACK = 3
BACK_SECONDS = LEASE_SECONDS + 5
MEDIA_WORKERS = 3
"""One more than there are videos: what lost its worker does not have to wait for another one."""

LONG_FAULTS = 520
LONG_SECONDS = 22 * 60

OUTCOMES = text("""
    SELECT v.id, v.state, v.poster_key, v.published_job_id, j.id AS job_id, j.state AS job_state,
           j.fence, j.error_code, j.error_message, a.storage_key
      FROM videos v JOIN transcoding_jobs j ON j.video_id = v.id
      JOIN media_assets a ON a.id = v.asset_id
""")
RENDITIONS = text("SELECT video_id, label, bytes, media_key, playlist_key FROM video_renditions")


@dataclass(frozen=True)
class Outcome:
    """What the database and the store hold of one video."""

    row: Row[Any]
    renditions: list[Row[Any]]
    publications: int

    def trouble(self, stand: Stand, *, broken: bool) -> str | None:
        """Return what is wrong with it; None when all is well."""
        if broken:
            refused = self.row.state == "failed" and self.row.job_state == "failed"
            well = refused and self.row.error_code and self.row.error_message
            return None if well and self.publications == 0 else f"not refused: {self.row}"
        if self.row.state != "ready" or self.row.job_state != "succeeded":
            return f"not published: {self.row}"
        if self.publications != 1:
            return f"published {self.publications} times: {self.row}"
        folder = (
            f"{self.row.storage_key.rpartition('/')[0]}/renditions/{self.row.job_id}"
            f"/attempt-{self.row.fence}/"
        )
        keys = [key for r in self.renditions for key in (r.media_key, r.playlist_key)]
        if not keys or not all(key.startswith(folder) for key in (*keys, self.row.poster_key)):
            return f"not of one attempt: {self.row} {keys}"
        sizes = {r.media_key: stand.storage.stat(r.media_key).size for r in self.renditions}
        if any(sizes[r.media_key] != r.bytes for r in self.renditions):
            return f"stored sizes {sizes} differ: {self.renditions}"
        return None


def outcomes(stand: Stand, teacher: Teacher, history: History) -> dict[UUID, Outcome]:
    kept = history.versions(names.schema_name(teacher.organization_id), "videos")
    published = Counter(UUID(version.row["id"]) for version in kept)
    renditions = stand.rows(teacher.scope, RENDITIONS)
    return {
        row.id: Outcome(row, [r for r in renditions if r.video_id == row.id], published[row.id])
        for row in stand.rows(teacher.scope, OUTCOMES)
    }


def begin(stand: Stand, history: History, name: str) -> Teacher:
    """Make an organization with a teacher; each publication of its videos is kept."""
    slug = fresh_slug(name)
    organization_id = stand.make_organization(slug)
    history.keep(names.schema_name(organization_id), "videos", when="NEW.state = 'ready'")
    return make_teacher(stand, organization_id, slug)


def weather(stand: Stand, folder: Path, seed: int, say: Callable[[str], None]) -> Storm:
    """Prepare a storm over a stand."""
    say(f"\nseed {seed}")
    rng = random.Random(seed)
    clip = make_clip(folder / "clip.mp4", seconds=0.6, size="64x36").read_bytes()
    return Storm(stand, Faults(stand, rng), [], clip, rng, say)


def assert_survived(storm: Storm, history: History) -> list[Recovery]:
    """Nothing was lost, nothing doubled, and what lost its worker came back in time.

    Returns:
        How what lost its worker came back.
    """
    stand = storm.stand
    found = {
        video_id: outcome
        for teacher in storm.teachers
        for video_id, outcome in outcomes(stand, teacher, history).items()
    }
    lost = [video_id for video_id in storm.uploaded if video_id not in found]
    wrong = [
        trouble
        for video_id in storm.uploaded
        if video_id in found
        and (trouble := found[video_id].trouble(stand, broken=video_id in storm.broken))
    ]
    work = history.versions("platform", "work")
    back = recoveries(work)
    refusals: Counter[str] = sum((teacher.refusals for teacher in storm.teachers), Counter())
    publications = sum(outcome.publications for outcome in found.values())
    storm.say(storm.histogram())
    storm.say(
        f"{len(storm.uploaded)} videos, {len(storm.broken)} of them broken;"
        f" {publications} publications;"
        f" lost {len(lost)}, wrong {len(wrong)}"
    )
    storm.say(f"told to come back: {dict(refusals)}; pieces spoiled: {stand.proxy.spoiled}")
    storm.say(
        f"attempts counted as failed: {Counter(e.split(':')[0] for e in failed_attempts(work))}"
    )
    if back:
        seconds = sorted(one.seconds for one in back)
        storm.say(
            f"{len(back)} claims after a lost one: median {statistics.median(seconds):.1f} s,"
            f" 95 % {seconds[int(0.95 * len(seconds))]:.1f} s, longest {seconds[-1]:.1f} s;"
            f" {sum(s <= BACK_SECONDS for s in seconds)} within lease + 5 s"
        )
    assert (lost, wrong) == ([], [])
    assert publications > 0
    late = [one for one in back if one.seconds > SLACK * BACK_SECONDS]
    for one in late:
        storm.say(f"{one}\n{timeline(work, one.work_id)}")
    assert late == []
    return back


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def say(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    return say


def kinds_in_turn(storm: Storm) -> Iterator[str]:
    """Give all, then those again that met no conversion."""
    while True:
        kinds = storm.missing or list(strikes_on(storm.faults))
        storm.rng.shuffle(kinds)
        yield from kinds


def kinds_by_weight(storm: Storm) -> Iterator[str]:
    weights = {kind: weight for kind, (_, weight) in strikes_on(storm.faults).items()}
    while True:
        yield storm.rng.choices(list(weights), list(weights.values()))[0]


def test_transcodes_survive_one_fault_of_each_kind(stand: Stand, tmp_path: Path) -> None:
    history = History(stand.postgres.admin_url)
    storm = weather(stand, tmp_path, 0, print)
    storm.aim_seconds = 1.0
    storm.teachers.append(begin(stand, history, "storm"))
    history.keep("platform", "work")
    storm.run(kinds_in_turn(storm), len(strikes_on(storm.faults)), seconds=15)
    storm.settle()
    assert_survived(storm, history)


@pytest.mark.long
def test_transcodes_survive_hundreds_of_faults(folder: Path, say: Callable[[str], None]) -> None:
    """Takes about 25 minutes. FAULTS_SEED repeats a run's choices, FAULTS makes it shorter."""
    seed = int(os.environ.get("FAULTS_SEED", random.randrange(2**32)))
    count = int(os.environ.get("FAULTS", LONG_FAULTS))
    with running_stand(folder, media_workers=MEDIA_WORKERS) as stand:
        try:
            history = History(stand.postgres.admin_url)
            storm = weather(stand, folder, seed, say)
            storm.teachers += [begin(stand, history, name) for name in ("storm", "gale")]
            history.keep("platform", "work")
            storm.run(kinds_by_weight(storm), count, seconds=LONG_SECONDS * count / LONG_FAULTS)
            storm.settle()
            assert assert_survived(storm, history), "no work lost its worker"
        except BaseException:
            print(stand.logs())
            raise
