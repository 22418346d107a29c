"""Keras's names for objects as JSON, and for what users register; :mod:`anabranch.registry` does it."""

from anabranch._custom_objects import *  # noqa: F403 - as below
from anabranch.registry import *  # noqa: F403 - the stub of this package lists the names
