"""What a model looks like: summaries, and later cost, lint, diff and drawings."""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
