"""What holds for a block: the device, a prefix of the paths of variables, other values of these, what is recomputed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from anabranch import _process, config, runtime
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError
from anabranch._frames import bound_methods
from anabranch.graph import Operation, Shape, Weight
from anabranch.graph.arrays import is_array
from anabranch.graph.shapes import product

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

_names: list[str] = []


def scope_path() -> str:
    """Return the names of the scopes that are open, as the beginning of a path."""
    return "/".join(_names)


@bound_methods
class RematScope:
    """Have layers made in a block recomputed in the backward pass, where ``compile`` is given no ``remat``.

    Memory for time (Chen et al. 2016): of a layer that is recomputed, as a whole, only the inputs are saved. Layers whose
    results change when they are repeated, and such as would save nothing, are left out.

    Args:
        mode: ``"full"``: all of them; ``"activations"``: those with an activation; ``"larger_than"``: those whose output has
            more values for a sample than ``output_size_threshold``; ``"list_of_layers"``: those named; None: none.
        output_size_threshold: how many values.
        layer_names: names of layers.

    Example:
        >>> from anabranch import Input, Model, layers
        >>> x = Input((8,))
        >>> with RematScope("list_of_layers", layer_names=["wide"]):
        ...     wide, head = layers.Dense(64, "gelu", name="wide"), layers.Dense(1, name="head")
        >>> model = Model(x, head(wide(x)))
        >>> model.compile("sgd", "mse")
        >>> model.remat
        ('wide',)
    """

    @checked
    def __init__(
        self,
        mode: Literal["full", "activations", "larger_than", "list_of_layers"] | None = "full",
        output_size_threshold: int = 1024,
        layer_names: Sequence[str] | None = None,
    ) -> None:
        self.mode = mode
        self.output_size_threshold = output_size_threshold
        self.layer_names = list(layer_names or ())

    def covers(self, operation: Operation, outputs: Iterable[Shape]) -> bool:
        """Return whether a layer is recomputed that gives outputs of these shapes.

        Args:
            operation: the layer.
            outputs: shapes, with the batch.

        Example:
            >>> from anabranch import layers
            >>> RematScope("larger_than", 100).covers(layers.Dense(64), [(None, 64)])
            False
        """
        if self.mode == "list_of_layers":
            return operation.name in self.layer_names
        if self.mode == "activations":
            return operation._settings_by_name_().get("activation") not in (None, "linear")
        if self.mode == "larger_than":
            return any((product(shape[1:]) or 0) > self.output_size_threshold for shape in outputs)
        return self.mode == "full"

    def __enter__(self) -> Self:
        _process.remat_scopes.append(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        _process.remat_scopes.remove(self)


@bound_methods
class StatelessScope:
    """Let a block compute with given values of variables, and what it assigns stay in the scope.

    Args:
        state_mapping: pairs of a variable and its value, axes in Keras's order, as ``variable[...]`` has them.
        collect_losses: whether ``losses`` lists what layers in the block add to the loss.
        initialize_variables: accepted as in Keras; a variable has its values when they are first used.

    Example:
        >>> import torch
        >>> from anabranch import Variable
        >>> count = Variable(1.0)
        >>> with StatelessScope([(count, torch.tensor(5.0))]) as scope:
        ...     _ = count.assign_add(2.0)
        >>> float(scope.get_current_value(count)), float(count)
        (7.0, 1.0)
    """

    @checked
    def __init__(
        self,
        state_mapping: Iterable[object] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        self.collect_losses = collect_losses
        self.initialize_variables = initialize_variables
        values = {}
        if not isinstance(state_mapping, Iterable | None) or isinstance(state_mapping, str) or is_array(state_mapping):
            raise ArgumentError("state_mapping must be pairs of a variable and its value.", got=shown(state_mapping))
        for pair in () if state_mapping is None else state_mapping:
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], Weight):
                raise ArgumentError("state_mapping must be pairs of a variable and its value.", got=shown(pair))
            values[pair[0]] = runtime.as_value(*pair).clone()
        self._substitution = runtime.Substitution(values)
        self._entered = contextlib.ExitStack()

    @property
    def losses(self) -> list[Tensor]:
        """What layers in the block added to the loss."""
        return self._substitution.losses if self.collect_losses else []

    def add_loss(self, loss: Tensor) -> None:
        """Add to ``losses``.

        Args:
            loss: a scalar.

        Example:
            >>> import torch
            >>> scope = StatelessScope(collect_losses=True)
            >>> scope.add_loss(torch.tensor(2.0))
            >>> scope.losses
            [tensor(2.)]
        """
        self._substitution.loss(loss)

    def add_update(self, update: tuple[Weight, object]) -> None:
        """Set the value that a variable has from now on in the block.

        Args:
            update: the variable and the value.

        Example:
            >>> from anabranch import Variable
            >>> count, scope = Variable(1.0), StatelessScope()
            >>> scope.add_update((count, 3.0))
            >>> scope.get_current_value(count)
            tensor(3.)
        """
        variable, value = update
        self._substitution.write(variable, runtime.as_value(variable, value))

    def get_current_value(self, variable: Weight) -> Tensor | None:
        """Return the value of a variable in the block, axes in Keras's order; None where it was neither given nor used.

        Args:
            variable: the variable.

        Example:
            >>> from anabranch import Variable
            >>> StatelessScope().get_current_value(Variable(1.0)) is None
            True
        """
        found = self._substitution.values.get(variable)
        return None if found is None else variable.from_native(found)

    def __enter__(self) -> Self:
        self._entered.enter_context(runtime.tracing(self._substitution))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._entered.close()


@bound_methods
class name_scope:  # noqa: N801 - Keras's name
    """Begin the paths of the variables that a block makes with a name; layers take their names from their model.

    Args:
        name: a part of the paths, without "/".

    Example:
        >>> from anabranch import Variable
        >>> with name_scope("outer"):
        ...     variable = Variable(1.0, name="inner")
        >>> variable.path
        'outer/inner'
    """

    @checked
    def __init__(self, name: str) -> None:
        if not name or "/" in name:
            raise ArgumentError("name of name_scope must be a string without '/'.", got=repr(name))
        self.name = name

    def __enter__(self) -> name_scope:
        _names.append(self.name)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _names.pop()


@bound_methods
class device:  # noqa: N801 - Keras's name
    """Compute a block on a device: ``config.set_device`` for the block.

    Args:
        device_name: such as ``"cpu"`` or ``"cuda:0"``; Keras's ``"gpu:0"`` means ``"cuda:0"``.

    Example:
        >>> from anabranch import config
        >>> with device("cpu:0"):
        ...     config.device()
        'cpu'
    """

    @checked
    def __init__(self, device_name: str) -> None:
        kind, _, index = device_name.lower().removeprefix("/").rpartition("device:")[2].partition(":")
        kind = {"gpu": "cuda"}.get(kind, kind)
        self._name = kind if kind == "cpu" or not index else f"{kind}:{index}"
        self._before: list[str | None] = []

    def __enter__(self) -> device:
        before = config.device()
        config.set_device(self._name)
        self._before.append(before)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        config.set_device(self._before.pop())
