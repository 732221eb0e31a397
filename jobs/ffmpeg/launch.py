"""Put on the limits, then become the command: `launch.py PARENT MEMORY CPU FILE COMMAND...`.

Started by `jobs.ffmpeg.process` as a file with `python -I -S`, so it uses the standard library
alone and costs about 15 ms.

Why a program and not `preexec_fn`: code between fork and exec may deadlock when the worker has
threads (boto3 and connection pools start some), and it forces a full fork of a large worker. Why
not `prlimit` after the start: hostile input would run unlimited until the limits arrive.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from typing import NoReturn

COMMAND_NOT_STARTED = 127
"""Exit status when the command could not be started, as in a shell."""

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when the worker dies; survives exec.

    The signal is sent when the *thread* that started us ends: the worker starts children from its
    main thread.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The worker may have died before the request was in place.
    if os.getppid() != parent:
        sys.exit(COMMAND_NOT_STARTED)


def _limit(which: int, soft: int, hard: int) -> None:
    """Set a limit, never above what the system grants."""
    _, granted = resource.getrlimit(which)
    if granted != resource.RLIM_INFINITY:
        soft, hard = min(soft, granted), min(hard, granted)
    resource.setrlimit(which, (soft, hard))


def main(arguments: list[str]) -> NoReturn:
    """Apply the limits in `arguments` and replace this process by the command.

    Args:
        arguments: parent's process id, address space (bytes), CPU time (seconds), size of a
            written file (bytes), then the command and its arguments.
    """
    parent, memory, cpu, file_size = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
    _die_with_parent(parent)
    # Python ignores these two, and an ignored signal stays ignored after exec: a full pipe or an
    # oversized file must end the command.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    _limit(resource.RLIMIT_CORE, 0, 0)
    _limit(resource.RLIMIT_FSIZE, file_size, file_size)
    # ffmpeg takes the soft limit's SIGXCPU for a polite request; the hard limit kills.
    _limit(resource.RLIMIT_CPU, cpu, cpu + 5)
    # Last, because it binds this process too.
    _limit(resource.RLIMIT_AS, memory, memory)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
    sys.exit(COMMAND_NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
