"""Names codecs as the CODECS attribute of a playlist wants them (RFC 6381)."""

from __future__ import annotations


def h264(configuration: bytes) -> str:
    """Name an H.264 stream from its avcC box, as "avc1.640028".

    Args:
        configuration: AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1): after the
            version come profile, compatibility and level.

    Raises:
        ValueError: it is no such record.
    """
    if len(configuration) < 4 or configuration[0] != 1:
        raise ValueError("not an avcC record")
    return f"avc1.{configuration[1:4].hex()}"


def aac(configuration: bytes) -> str:
    """Name an AAC stream from its AudioSpecificConfig, as "mp4a.40.2".

    Args:
        configuration: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) of the esds box: the object
            type is in the first five bits; 31 means that six more bits hold it, less 32.

    Raises:
        ValueError: it is too short.
    """
    if len(configuration) < 2:
        raise ValueError("not an AudioSpecificConfig")
    object_type = configuration[0] >> 3
    if object_type == 31:
        object_type = 32 + ((configuration[0] & 0b111) << 3 | configuration[1] >> 5)
    return f"mp4a.40.{object_type}"
