"""What can happen beside training: history, stopping, checkpoints, learning rates, logs, progress."""

from anabranch._errors import leaving_out
from anabranch._lazy import attach

_ORBAX = "Orbax writes JAX's arrays; ModelCheckpoint and BackupAndRestore save models and runs of torch."
__getattr__, __dir__ = attach(__name__, __file__)
__getattr__ = leaving_out(__getattr__, {"OrbaxCheckpoint": _ORBAX})
