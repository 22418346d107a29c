"""Settings of the process: a file for each kind, which ``config`` shows as one."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
