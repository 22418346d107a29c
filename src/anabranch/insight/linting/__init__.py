"""What is probably wrong with a model: rules over its graph, each with a code, a reason and a repair.

``findings`` has the results, ``program`` what the rules read, ``rules`` the registry; each further file is one family of rules.
"""

from anabranch._lazy import attach

__getattr__, __dir__ = attach(__name__, __file__)
