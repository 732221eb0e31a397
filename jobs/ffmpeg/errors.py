"""How a media file can fail: for good, or only this time."""

from __future__ import annotations


class PermanentMediaError(Exception):
    """The file itself is at fault: the same bytes fail again, so nothing is retried.

    Attributes:
        code: stable snake_case identifier, for programs (`no_video`, `not_a_video`, `unreadable`,
            `truncated`, `encrypted`, `unsupported_codec`, `too_long`, `too_large`, `too_small`,
            `too_complex`).
        message: one or two sentences for the teacher who uploaded the file.
        detail: what the tools printed, for an operator; never shown to users.
    """

    def __init__(self, code: str, message: str, *, detail: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.detail = detail


class TransientMediaError(Exception):
    """The machine is at fault (killed, disk full, time ran out): trying again may succeed.

    Attributes:
        code: stable snake_case identifier (`killed`, `timed_out`, `stalled`, `no_space`,
            `installation`, `source_missing`, `internal`).
        message: one sentence for an operator.
        detail: what the tools printed.
    """

    def __init__(self, code: str, message: str, *, detail: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.detail = detail
