"""The kinds of cases, each by the function that runs the case of a seed."""

from collections.abc import Callable

from fuzz import functions, graphs, layers, training
from fuzz.beside import Pair

KINDS: dict[str, Callable[[int, str], Pair]] = {
    "graphs": graphs.case,
    "layers": layers.case,
    "functions": functions.case,
    "training": training.case,
}
