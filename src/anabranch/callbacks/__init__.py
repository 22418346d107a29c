"""What can happen beside training: history, stopping, checkpoints, learning rates, logs, progress."""

from anabranch._lazy import attach

_ORBAX = "Orbax writes JAX's arrays; ModelCheckpoint and BackupAndRestore save models and runs of torch."
__getattr__, __dir__ = attach(__name__, __file__, {"OrbaxCheckpoint": _ORBAX})
