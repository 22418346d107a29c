"""What of a model is stored: files, weights, configs of build and compile, the tree of its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from anabranch import exchange, saving, training
from anabranch._arguments import checked
from anabranch._frames import bound_methods
from anabranch.graph.shapes import map_shapes
from anabranch.models import implicit
from anabranch.models.structure import Structure

if TYPE_CHECKING:
    from pathlib import Path


@bound_methods
class Stored(Structure):
    """The methods by which a model is stored. Abstract: a base of Model."""

    def save(
        self, filepath: str | Path, overwrite: bool = True, zipped: bool | None = None, include_optimizer: bool = True
    ) -> None:
        """Write the model to a ``.keras`` file: architecture, weights, what ``compile`` took, the optimizer's state.

        Args:
            filepath: the file, whose name ends in ``.keras``.
            overwrite: whether a file of that name is replaced; else it is an error.
            zipped: True or None; a folder in the place of a file is not written.
            include_optimizer: whether optimizer, losses and metrics are saved with it.

        Example:
            >>> from anabranch import Input, Model, layers, models
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).save("m.keras")
            >>> models.load_model("m.keras").count_params()
            18
        """
        saving.save_model(self, filepath, overwrite, zipped, include_optimizer)

    def get_build_config(self) -> dict[str, Any]:
        """Return as JSON what goes into a model that writes its own ``call``; {} where a graph says it, or nothing does yet.

        Example:
            >>> from anabranch import Input, Model
            >>> x = Input((8,))
            >>> Model(x, x).get_build_config()
            {}
        """
        specs = None if self._graph_ is not None else self._specs_seen_()
        return {} if specs is None else implicit.build_config(specs)

    @checked
    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """Make the weights of a model that writes its own ``call``, as ``get_build_config`` said.

        Args:
            config: a config of anabranch's or Keras's.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.build_from_config({"input_shape": [None, 4]})
            >>> model.count_params()
            10
        """
        if config and config.get("input_shape") is not None:
            self.build(map_shapes(config["input_shape"], tuple))

    @property
    def compiled(self) -> bool:
        """Whether ``compile`` was called."""
        return self._compiled_ is not None

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of ``compile`` as JSON in Keras's form; {} before ``compile``.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2)])
            >>> model.compile("sgd", loss="mse")
            >>> model.get_compile_config()["loss"]
            'mse'
        """
        return training.compile_config(self._compiled_)

    @checked
    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model as the JSON says that ``get_compile_config`` returned.

        Args:
            config: a config of anabranch's or Keras's.

        Example:
            >>> from anabranch import Sequential
            >>> model = Sequential()
            >>> model.compile_from_config({"optimizer": "sgd", "loss": "mse"})
            >>> model.optimizer
            SGD()
        """
        self.compile(**training.compile_arguments(config))

    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """Return the values of weights, of the optimizer's variables and of metrics, nested by their paths, as Keras has them.

        Args:
            value_format: ``"backend_tensor"``: tensors, which share memory with what they show; ``"numpy_array"``: copies.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
            >>> model.get_state_tree("numpy_array")["trainable_variables"]["dense"]["kernel"].tolist()
            [[1.0]]
        """
        from anabranch.models import state_tree as states  # which a description does without

        return states.tree(self, value_format)

    @checked
    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Set what ``get_state_tree`` returned, or a part of it; nothing changes unless all names and shapes fit.

        Args:
            state_tree: values, nested by path in ``trainable_variables``, ``non_trainable_variables``,
                ``optimizer_variables``, ``metrics_variables``.

        Example:
            >>> import numpy as np
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False)])
            >>> model.set_state_tree({"trainable_variables": {"dense": {"kernel": np.full((1, 1), 2.0)}}})
            >>> model.get_weights()[0].tolist()
            [[2.0]]
        """
        from anabranch.models import state_tree as states  # which a description does without

        states.set_tree(self, state_tree)

    def save_weights(self, filepath: str | Path, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write the weights to a file.

        Args:
            filepath: the file, whose name ends in ``.weights.h5``, which Keras reads, or in ``.safetensors``; with
                ``max_shard_size`` the index, in ``.weights.json`` or ``.safetensors.index.json``.
            overwrite: whether a file of that name is replaced; else it is an error.
            max_shard_size: how many GB of values a file holds at most; the weights are written in as many as it takes.

        Example:
            >>> import os
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> Model(x, layers.Dense(2)(x)).save_weights("w.safetensors")
            >>> os.listdir()
            ['w.safetensors']
        """
        saving.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False, by_name: bool = False) -> None:
        """Read the weights from a file, by path and shape; nothing changes unless all of them fit.

        Args:
            filepath: the file, whose name ends in ``.weights.h5`` or ``.h5``, as Keras writes it, or in ``.safetensors``; or
                the index of several.
            skip_mismatch: load what fits and warn of the rest.
            by_name: of ``.h5`` files, as Keras 2 wrote them: layers are found by their names, and others left out.

        Example:
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> first, second = Model(x, layers.Dense(2)(x)), Model(x, layers.Dense(2)(x))
            >>> first.save_weights("w.safetensors")
            >>> second.load_weights("w.safetensors")
        """
        saving.load_weights(self, filepath, skip_mismatch=skip_mismatch, by_name=by_name)

    @checked
    def load_torch_weights(
        self, source: exchange.Source, mapping: Mapping[str, str | None] | None = None, skip_mismatch: bool = False
    ) -> None:
        """Read weights that were trained in torch; nothing changes unless shapes and order leave one answer for all of them.

        ``exchange.match_torch_weights`` shows what would go where.

        Args:
            source: a state dict, a torch module, or a file: ``.safetensors``, or ``.pt``, ``.pth``, ``.bin`` without code.
            mapping: the path of a weight or layer for the name of a tensor or module; None leaves that one out.
            skip_mismatch: load what fits and warn of the rest.

        Raises:
            FileFormatError: tensors are missing, left over or of another shape; all of them are listed.
            ArgumentError: they fit in more than one way.

        Example:
            >>> import torch
            >>> from anabranch import Input, Model, layers
            >>> x = Input((8,))
            >>> model = Model(x, layers.Dense(2)(x))
            >>> model.load_torch_weights({"fc.weight": torch.ones(2, 8), "fc.bias": torch.zeros(2)})
            >>> model.get_weights()[0].shape
            (8, 2)
        """
        plan = exchange.match_torch_weights(self, source, mapping)
        plan.check(guesses=False, skip_mismatch=skip_mismatch)
        plan.apply(skip_mismatch=True)
