"""Becomes another program: one that ends when its parent ends and, for root, runs as another user.

Run as a script, with the standard library only, so that it starts in milliseconds:
``python -I -S launch.py PARENT DEATH_SIGNAL UID GID PASS_LOCKED_FOLDERS PROGRAM [ARGUMENT ...]``.
A process of its own, rather than ``preexec_fn``, because code between fork and exec may deadlock
in a program with threads.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

NOT_STARTED = 126
"""The exit status that says: the program itself never ran. As in a shell."""

KEEP = -1
"""Instead of a user and group id: stay who we are."""

# <linux/prctl.h> and <linux/capability.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _prctl(option: int, first: int, second: int = 0) -> None:
    longs = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    _check(_libc.prctl(ctypes.c_int(option), *longs))


def _become(uid: int, gid: int, *, pass_locked_folders: bool) -> None:
    """Give up root, keeping at most the right to pass folders such as /root (mode 0700)."""
    if pass_locked_folders:
        _prctl(_PR_SET_KEEPCAPS, 1)
        # initdb asks access(2) whether it may run postgres, and without this bit access(2) forgets
        # the right that we keep below. Where the bit is refused, open folders still work.
        with contextlib.suppress(OSError):
            _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if pass_locked_folders:
        bit = 1 << _CAP_DAC_OVERRIDE
        header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
        sets = (_CapabilityData * 2)(_CapabilityData(bit, bit, bit), _CapabilityData(0, 0, 0))
        _check(_libc.capset(ctypes.byref(header), sets))
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE)


def main(arguments: list[str]) -> None:
    """Drop privileges, tie our life to the parent's, then become the program."""
    parent, death_signal, uid, gid, pass_locked_folders = (int(word) for word in arguments[:5])
    program = arguments[5:]
    try:
        if uid != KEEP:
            _become(uid, gid, pass_locked_folders=bool(pass_locked_folders))
        # After the change of user, which clears it.
        _prctl(_PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:
            sys.exit(NOT_STARTED)
        # Python ignores these, and what is ignored stays ignored in the program that we become.
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execvp(program[0], program)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error}\n")
        sys.exit(NOT_STARTED)


if __name__ == "__main__":
    main(sys.argv[1:])
