"""Layers by which positions choose among others: dot-product and additive attention, with heads or without."""
