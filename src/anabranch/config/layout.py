"""Where the channels of images are."""

from __future__ import annotations

from typing import Literal

from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch._frames import bounded

ImageFormat = Literal["channels_last", "channels_first"]

_image_data_format: ImageFormat = "channels_last"


def image_data_format() -> ImageFormat:
    """Return the default position of images' channels: ``channels_last`` unless set.

    Example:
        >>> image_data_format()
        'channels_last'
    """
    return _image_data_format


@bounded
def set_image_data_format(value: ImageFormat) -> None:
    """Set the default position of images' channels.

    Args:
        value: ``channels_last`` (B H W C) or ``channels_first`` (B C H W).

    Raises:
        ArgumentError: another value.

    Example:
        >>> set_image_data_format("channels_first")
        >>> image_data_format()
        'channels_first'
        >>> set_image_data_format("channels_last")
    """
    global _image_data_format
    _image_data_format = check_data_format(value)


@bounded
def check_data_format(value: str | None) -> ImageFormat:
    """Return a valid image layout.

    Args:
        value: ``channels_last``, ``channels_first``, or None for the default.

    Example:
        >>> check_data_format(None)
        'channels_last'
    """
    if value is None:
        return _image_data_format
    if isinstance(value, str) and value == "channels_last":
        return "channels_last"
    if isinstance(value, str) and value == "channels_first":
        return "channels_first"
    raise ArgumentError("Unknown data_format.", expected="'channels_last' or 'channels_first'", got=shown(value))
