"""Refusals about captions, in the words of who uploads them."""

from __future__ import annotations

from lms.core.errors import ConflictError, DomainError, InvalidInputError


class InvalidCaptionsError(InvalidInputError):
    """The file is no WebVTT or SRT that players could show; `line` says where, when that is known.

    Args:
        message: what is wrong and where, for the teacher.
        line: of the file, from 1.
    """

    code = "invalid_captions"
    remedy = "Mend the file, or export it anew as WebVTT or SRT in UTF-8, and send it again."

    def __init__(self, message: str, line: int | None = None) -> None:
        errors = [{"pointer": "/content", "message": message}]
        super().__init__(message, errors=errors, line=line)


class CaptionsTooLargeError(DomainError):
    """The file is larger than captions of any video are."""

    kind = "too_large"
    code = "captions_too_large"
    remedy = "Send the captions of this video alone, as plain WebVTT or SRT."


class CaptionExistsError(ConflictError):
    """The video has a caption of this language and kind already; `caption_id` names it."""

    code = "caption_exists"
    remedy = "Change or delete the caption that `caption_id` names."


class CaptionLabelTakenError(ConflictError):
    """People would see two captions of one name; `caption_id` names the other."""

    code = "caption_label_taken"
    remedy = "Choose a label that no other caption of the video has."


class TooManyCaptionsError(ConflictError):
    """The video has as many captions as one may have."""

    code = "too_many_captions"
    remedy = "Delete a caption that is not needed."
