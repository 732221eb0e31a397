from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import imageio_ffmpeg
import pytest

from jobs.ffmpeg.transcode import Encoded, transcode

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")


@dataclass
class Studio:
    """Makes short clips with ffmpeg, each once per test session."""

    root: Path
    ffmpeg: str = field(default_factory=imageio_ffmpeg.get_ffmpeg_exe)

    def make(self, name: str, *arguments: str) -> Path:
        clip = self.root / name
        if not clip.exists():
            command = [self.ffmpeg, "-loglevel", "error", "-nostdin", *arguments, str(clip)]
            subprocess.run(command, check=True, timeout=60)
        return clip

    def picture(self, size: str = "320x240", seconds: float = 1, rate: str = "25") -> list[str]:
        return ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}:duration={seconds}"]

    def tone(self, seconds: float = 1) -> list[str]:
        return ["-f", "lavfi", "-i", f"sine=duration={seconds}"]

    def lecture(self) -> Path:
        """Picture and sound, 3 s, with a title and a place in its metadata."""
        return self.make(
            "lecture.mp4",
            *self.picture(seconds=3, rate="30000/1001"),
            *self.tone(seconds=3),
            *H264,
            *AAC,
            *("-metadata", "title=Kitchen", "-metadata", "location=+52.5200+013.4050/"),
            *("-movflags", "+faststart"),
        )

    def silent(self) -> Path:
        return self.make("silent.mp4", *self.picture(), *H264)


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def encode(tmp_path: Path) -> Callable[[Path], Encoded]:
    """Transcode with few rungs into a scratch directory."""

    def run(source: Path) -> Encoded:
        return transcode(
            source,
            tmp_path,
            short_sides=(720, 240, 120),
            on_progress=lambda _fraction: None,
            tick_seconds=5,
        )

    return run


@pytest.fixture(scope="session")
def lecture(studio: Studio, tmp_path_factory: pytest.TempPathFactory) -> Encoded:
    """An ordinary video, transcoded once for all tests that only look at the result."""
    return transcode(
        studio.lecture(),
        tmp_path_factory.mktemp("lecture"),
        short_sides=(240, 120),
        on_progress=lambda _fraction: None,
        tick_seconds=5,
    )
