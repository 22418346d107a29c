"""Settings of the process, under Keras's names."""

from anabranch._process import disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled
from anabranch.backend import clear_session

__all__ = [
    "clear_session", "disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled",
]  # fmt: skip
