"""What packages below ``models`` ask of a model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from anabranch.graph.graph import Graph
    from anabranch.graph.records import Operation
    from anabranch.graph.weight import Weight


class Preparing(Protocol):
    """The first part of a model, which runs on the host."""

    def run(self, values: Sequence[Any]) -> list[Any]:
        """Return what the running graph takes, for the values of the inputs."""


class WithGraph(Protocol):
    """A model, as far as values are bound to its inputs and outputs."""

    @property
    def _graph_(self) -> Graph | None:
        """The graph; None for a model with a ``call`` of its own."""

    @property
    def _running_graph_(self) -> Graph | None:
        """What runs: the graph, or one of one node for a model with a ``call`` of its own, once its data are known."""

    @property
    def _host_part_(self) -> Preparing | None:
        """What runs on the host before ``running_graph``; None where the graph runs as a whole."""

    def _need_running_graph_(self) -> Graph:
        """Return ``running_graph``, or raise where it is not known yet."""

    @property
    def _follows_data_(self) -> bool:
        """Whether the graph may change with the data: no Input says what goes in."""

    def _follow_(self, x: object) -> None:
        """Make ``running_graph`` fit data ``x``."""


class HasWeights(Protocol):
    """A layer or model, as far as its weights are read."""

    @property
    def name(self) -> str:
        """The name."""

    @property
    def weights(self) -> list[Weight]:
        """All weights."""

    @property
    def non_trainable_weights(self) -> list[Weight]:
        """The weights that training leaves."""

    @property
    def trainable_weights(self) -> list[Weight]:
        """Those that are trained."""


class AnyModel(WithGraph, HasWeights, Protocol):
    """A model: a graph with a name, layers and weights."""

    built: bool

    @property
    def path(self) -> str:
        """The path in the model that first claimed it, else the name."""

    @property
    def layers(self) -> Sequence[Operation]:
        """The layers, in Keras's order."""

    def _sublayers_(self) -> Sequence[Operation]:
        """Return the layers held directly."""

    def _inner_layers_(self) -> Iterable[Operation]:
        """Return the model and all layers inside it."""
