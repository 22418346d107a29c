"""Keras's names for objects as JSON; :mod:`anabranch.registry` does it."""

from anabranch.registry import *  # noqa: F403 - the stub of this package lists the names
