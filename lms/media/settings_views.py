"""How an organization's videos are converted, for its admins."""

from __future__ import annotations

from typing import Any

from lms.http.blueprint import ADMINS, TenantBlueprint
from lms.http.call import Call
from lms.media import transcoding_settings
from lms.media.settings_schemas import TranscodingSettingsOut, TranscodingSettingsPatch
from lms.media.transcoding_settings import SettingsInEffect

blp = TenantBlueprint(
    "Transcoding settings",
    __name__,
    description="The sizes in which the organization offers its videos, and how long they may be.",
)
PATH = "/transcoding-settings"
EXAMPLE = {"ladder": [1080, 720, 480], "longest_video_seconds": 7200, "largest_side": 2160}


@blp.operation(
    "GET",
    PATH,
    id="getTranscodingSettings",
    returns=TranscodingSettingsOut,
    roles=ADMINS,
    etag=True,
    not_modified=False,
    example=EXAMPLE,
)
def get_transcoding_settings(call: Call) -> SettingsInEffect:
    """Read how videos are converted.

    For admins. Where they chose nothing, it is what the platform set for the organization.
    """
    return transcoding_settings.in_effect(call.session)


@blp.operation(
    "PATCH",
    PATH,
    id="updateTranscodingSettings",
    body=TranscodingSettingsPatch,
    returns=TranscodingSettingsOut,
    roles=ADMINS,
    etag=True,
    if_match="required",
    example=EXAMPLE,
)
def update_transcoding_settings(call: Call, body: dict[str, Any]) -> SettingsInEffect:
    """Change how videos are converted.

    For admins. Conversions that start from now on go by it; what plays stays as it is until it is
    converted again (`createTranscodingJob`). null takes a choice back. 422 `ladder_too_large` when
    a size is larger than the platform allows, see `largest_side`.
    """
    return transcoding_settings.change(
        call.session,
        call.actor,
        expected_version=call.expected_version(required=True),
        changes=body,
    )
