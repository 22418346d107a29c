"""Settings of the process, under Keras's names."""

from anabranch.backend import clear_session
from anabranch.config import disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled

__all__ = [
    "clear_session", "disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled",
]  # fmt: skip
