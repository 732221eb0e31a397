"""What one source may cost: bounds on the media itself and on the processes that read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """Bounds on one child process.

    Attributes:
        memory_bytes: address space (RLIMIT_AS), bytes.
        cpu_seconds: CPU time over all its threads (RLIMIT_CPU), seconds.
        file_bytes: size of any one file it writes (RLIMIT_FSIZE), bytes.
        wall_seconds: time on the clock until it is asked to stop, seconds.
        grace_seconds: time between asking (SIGTERM) and ending (SIGKILL), seconds.
    """

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    wall_seconds: float
    grace_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one source and on everything done with it.

    Attributes:
        max_duration_s: longest accepted video, seconds.
        max_pixels: largest accepted coded picture, width x height.
        memory_bytes: address space of each child process, bytes. A 4K HDR source takes 3.4 GB of
            it with eight threads, of which a third is memory in use.
        cpu_seconds: most CPU time an encode may take however long the video is, seconds.
        wall_seconds: most time on the clock an encode may take, seconds.
        file_bytes: largest file a child may write, bytes.
        stall_seconds: most time on the clock without a new picture while encoding, seconds.
        inspect_cpu_seconds: CPU time of each short step (probe, poster), seconds.
        inspect_wall_seconds: time on the clock of each short step, seconds.
    """

    max_duration_s: float = 8 * 3600.0
    max_pixels: int = 36_000_000
    memory_bytes: int = 8 * 1024**3
    cpu_seconds: int = 72 * 3600
    wall_seconds: float = 48 * 3600.0
    file_bytes: int = 32 * 1024**3
    stall_seconds: float = 600.0
    inspect_cpu_seconds: int = 120
    inspect_wall_seconds: float = 600.0

    def for_inspection(self) -> ProcessLimits:
        """Return the bounds of a short step: probe, poster."""
        return ProcessLimits(
            memory_bytes=self.memory_bytes,
            cpu_seconds=self.inspect_cpu_seconds,
            file_bytes=self.file_bytes,
            wall_seconds=self.inspect_wall_seconds,
        )

    def for_verification(self, duration_seconds: float, rungs: int) -> ProcessLimits:
        """Return the bounds of reading through what was made.

        They grow with what there is to read, at forty times what it takes: about half a
        millisecond for the hundred packets of one second.

        Args:
            duration_seconds: the source's probed length, seconds.
            rungs: how many renditions of that length there are.
        """
        seconds = duration_seconds * rungs
        return ProcessLimits(
            memory_bytes=self.memory_bytes,
            cpu_seconds=self.inspect_cpu_seconds + int(seconds / 50),
            file_bytes=self.file_bytes,
            wall_seconds=self.inspect_wall_seconds + seconds / 10,
        )

    def for_encoding(self, duration_seconds: float) -> ProcessLimits:
        """Return the bounds of an encode of a source of this length.

        They grow with the length, so that a bomb of ten seconds cannot hold a worker for as long
        as a lecture of eight hours may. 120 CPU seconds per second of video is thirty times what
        the whole ladder costs from a 1080p60 source.

        Args:
            duration_seconds: the source's probed length, seconds.
        """
        return ProcessLimits(
            memory_bytes=self.memory_bytes,
            cpu_seconds=min(self.cpu_seconds, int(120 + 120 * duration_seconds)),
            file_bytes=self.file_bytes,
            wall_seconds=min(self.wall_seconds, 900 + 240 * duration_seconds),
        )
