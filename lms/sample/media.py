"""A sample video and a sample PDF, made on the spot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ffmpeg
import imageio_ffmpeg
from fpdf import FPDF

VIDEO_SECONDS = 24


class SampleVideoError(Exception):
    """ffmpeg could not render the sample video; the message has its last line."""


def render_video(path: Path) -> None:
    """Render a moving picture of 24 s in 1280x720 with a changing tone, and a running clock.

    Args:
        path: where to write an MP4 (H.264, AAC).

    Raises:
        SampleVideoError: ffmpeg failed (a full disk, for example).
    """
    picture = ffmpeg.input(f"testsrc2=size=1280x720:rate=25:duration={VIDEO_SECONDS}", f="lavfi")
    sound = ffmpeg.input(
        f"aevalsrc='0.2*sin(2*PI*t*(220+20*floor(t)))':s=48000:d={VIDEO_SECONDS}", f="lavfi"
    )
    arguments = (
        ffmpeg.output(
            picture,
            sound,
            str(path),
            vcodec="libx264",
            preset="veryfast",
            pix_fmt="yuv420p",
            acodec="aac",
            movflags="+faststart",
        )
        .global_args("-nostdin", "-loglevel", "error")
        .overwrite_output()
        .compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
    )
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SampleVideoError(f"ffmpeg could not render the sample video: {last}")


def render_pdf(path: Path) -> None:
    """Write a two-page handover protocol.

    Args:
        path: where to write the PDF.
    """
    pdf = FPDF()
    pdf.set_title("Handover protocol")
    for heading, lines in PAGES:
        pdf.add_page()
        pdf.set_font("Helvetica", "B", 18)
        pdf.cell(0, 14, heading, new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Helvetica", size=12)
        for line in lines:
            pdf.cell(0, 10, line, new_x="LMARGIN", new_y="NEXT")
    pdf.output(str(path))


PAGES = (
    (
        "Handover protocol - installer",
        (
            "Site and unit number: ______________________",
            "Free air behind the evaporator (cm): ________",
            "Standing vacuum after 30 min (mbar): ________",
            "Spread supply/return at nominal speed (K): ___",
            "Heating curve set to: ______________________",
        ),
    ),
    (
        "Handover protocol - customer",
        (
            "The system was explained to me, and I know how to",
            "  - change the room temperature,",
            "  - find the filter and clean it twice a year,",
            "  - reach the installer.",
            "Date and signature: ________________________",
        ),
    ),
)
