"""What can happen beside training: history, stopping, checkpoints, learning rates, logs, progress."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
