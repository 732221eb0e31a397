from __future__ import annotations

import pytest

from jobs.ffmpeg import codecs


def test_h264_is_named_by_profile_compatibility_and_level() -> None:
    assert codecs.h264(bytes.fromhex("01640028ffe1")) == "avc1.640028"


def test_aac_low_complexity_is_named_by_its_object_type() -> None:
    assert codecs.aac(bytes.fromhex("1190")) == "mp4a.40.2"


def test_an_escaped_object_type_is_read_from_the_next_six_bits() -> None:
    # Extended HE-AAC (42): 11111 001010 ...
    assert codecs.aac(bytes([0b11111_001, 0b010_00000])) == "mp4a.40.42"


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x01g"], ids=["empty", "start code"])
def test_what_is_no_configuration_record_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="avcC"):
        codecs.h264(data)
