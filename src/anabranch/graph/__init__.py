"""Symbolic tensors, nodes, graphs and weights as plain data; no engine is imported here."""

from anabranch.graph.call_site import CallSite, call_site
from anabranch.graph.facts import Facts, Judgement
from anabranch.graph.function import Function, Method, apply
from anabranch.graph.graph import Graph
from anabranch.graph.model import AnyModel, HasWeights, WithGraph
from anabranch.graph.names import snake_case
from anabranch.graph.operators import Operator
from anabranch.graph.port import Port, connect
from anabranch.graph.records import Node, Operation, Spec, Tensor, Window, map_specs, spec_leaves, tensors_in
from anabranch.graph.replaying import replay, subgraph, with_values
from anabranch.graph.shapes import Shape
from anabranch.graph.tensor import describe, outputs_of, record
from anabranch.graph.weight import Home, Weight, WeightOptions

__all__ = [
    "AnyModel", "CallSite", "Facts", "Function", "Graph", "HasWeights", "Home", "Judgement", "Method", "Node", "Operation",
    "Operator", "Port", "Shape", "Spec", "Tensor", "Weight", "WeightOptions",
    "Window", "WithGraph",
    "apply", "call_site", "connect", "describe", "map_specs", "outputs_of", "record", "replay", "snake_case",
    "spec_leaves", "subgraph", "tensors_in", "with_values",
]  # fmt: skip
