"""Drawings of models, under Keras's names."""

from anabranch.insight.drawing.plotting import model_to_dot, plot_model

__all__ = ["model_to_dot", "plot_model"]
