"""Functions of losses that serve as metrics: which of them, ``metrics/__init__.pyi`` says."""

from anabranch.losses import *  # noqa: F403  # the list is in that file
