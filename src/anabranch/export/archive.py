"""Models, layers and functions as endpoints of a folder: a ``.pt2`` for each, collections of weights beside them."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentError, ArgumentTypeError, NotReadyError
from anabranch._files import reached
from anabranch._frames import bound_methods
from anabranch.callbacks._say import say
from anabranch.exchange import exporting
from anabranch.graph import Weight
from anabranch.layers.base import Layer
from anabranch.layers.core import Input
from anabranch.models.model import Model


@bound_methods
class ExportArchive:
    """Endpoints by name, and weights by name, for a folder.

    Args:
        format: ``"torch"``: each endpoint becomes ``NAME.pt2``, which ``torch.export.load`` reads, each collection of weights
            ``NAME.safetensors``. Keras's default, ``"saved_model"``, needs TensorFlow and is refused.

    Example:
        >>> import tempfile, torch
        >>> from anabranch import Sequential, layers
        >>> model = Sequential([Input((4,)), layers.Dense(2)])
        >>> archive = ExportArchive("torch")
        >>> archive.track_and_add_endpoint("serve", model)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     archive.write_out(folder, verbose=False)
        ...     torch.export.load(f"{folder}/serve.pt2").module()(torch.ones(3, 4)).shape
        torch.Size([3, 2])
    """

    @checked
    def __init__(self, format: str = "saved_model") -> None:
        if format != "torch":
            raise NotReadyError(
                f"anabranch does not write archives of the format {format!r}.",
                expected="'torch'",
                repair='ExportArchive("torch"), whose endpoints torch.export.load reads',
            )
        self._endpoints: dict[str, tuple[Model, object, dict[str, Any]]] = {}
        self._collections: dict[str, list[Weight]] = {}
        self._tracked: list[Layer] = []

    @property
    def variables(self) -> list[Weight]:
        """The weights of what is tracked."""
        return list(dict.fromkeys(weight for layer in self._tracked for weight in layer.weights))

    @property
    def trainable_variables(self) -> list[Weight]:
        """Those that train."""
        return [weight for weight in self.variables if weight.trainable]

    @property
    def non_trainable_variables(self) -> list[Weight]:
        """Those that do not."""
        return [weight for weight in self.variables if not weight.trainable]

    def track(self, resource: Layer) -> None:
        """Count the weights of a layer or model among ``variables``.

        Args:
            resource: the layer or model, built.

        Example:
            >>> from anabranch import Sequential, layers
            >>> archive = ExportArchive("torch")
            >>> archive.track(Sequential([Input((4,)), layers.Dense(2)]))
            >>> [weight.path for weight in archive.variables]
            ['dense/kernel', 'dense/bias']
        """
        if not isinstance(resource, Layer):
            raise ArgumentTypeError("resource must be a layer or a model.", got=shown(resource))
        if not resource.built:
            raise NotReadyError(f"{resource.name!r} is not built yet.", repair="call it, or give it an Input, first")
        if resource not in self._tracked:
            self._tracked.append(resource)

    @checked
    def add_endpoint(
        self, name: str, fn: Callable[..., object], input_signature: Sequence[object] | None = None, **kwargs: object
    ) -> None:
        """Add a function of tensors as an endpoint, which is traced on symbolic tensors, or a model or layer.

        Args:
            name: the endpoint's name, and that of its file.
            fn: a function of layers, operations and torch's functions; or a model, a layer, or its ``call``.
            input_signature: for each argument an ``InputSpec``, a tensor, or a nest of these.
            **kwargs: what ``torch.export.export`` takes.

        Example:
            >>> from anabranch import InputSpec
            >>> archive = ExportArchive("torch")
            >>> archive.add_endpoint("double", lambda x: 2 * x, [InputSpec(shape=(None, 3))])
        """
        resource = fn.__self__ if inspect.ismethod(fn) and fn.__name__ in ("call", "__call__") else fn
        if isinstance(resource, Layer):
            self.track_and_add_endpoint(name, resource, input_signature, **kwargs)
            return
        if not callable(fn):
            raise ArgumentTypeError("fn must be a function, a layer or a model.", got=shown(fn))
        self._add(name, _traced(fn, input_signature), None, kwargs)

    @checked
    def track_and_add_endpoint(
        self, name: str, resource: Layer, input_signature: Sequence[object] | None = None, **kwargs: object
    ) -> None:
        """Track a model or layer, and add what it computes in inference as an endpoint.

        Args:
            name: the endpoint's name, and that of its file.
            resource: the model or layer, built.
            input_signature: for each input an ``InputSpec`` or a tensor; a model's own unless given.
            **kwargs: what ``torch.export.export`` takes.

        Example:
            >>> from anabranch import Sequential, layers
            >>> archive = ExportArchive("torch")
            >>> archive.track_and_add_endpoint("serve", Sequential([Input((4,)), layers.Dense(2)]))
        """
        if isinstance(resource, Model):
            model, signature = resource, input_signature
        elif isinstance(resource, Layer):
            model, signature = _traced(resource, input_signature), None
        else:
            raise ArgumentTypeError("resource must be a layer or a model.", got=shown(resource))
        self.track(resource)
        self._add(name, model, signature, kwargs)

    def add_variable_collection(self, name: str, variables: Sequence[Weight]) -> None:
        """Add weights that are written beside the endpoints, by path.

        Args:
            name: the collection's name, and that of its file.
            variables: the weights.

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([Input((4,)), layers.Dense(2)])
            >>> ExportArchive("torch").add_variable_collection("weights", model.weights)
        """
        self._check_name(name)
        if not isinstance(variables, (list, tuple)) or not all(isinstance(each, Weight) for each in variables):
            raise ArgumentTypeError("variables must be a list of weights.", got=shown(variables))
        paths = [weight.path for weight in variables]
        twice = next((path for path in paths if paths.count(path) > 1), None)
        if twice is not None:
            raise ArgumentError("Two weights of a collection have one path.", got=shown(twice), repair="a collection for each")
        self._collections[name] = list(variables)

    @checked
    def write_out(self, filepath: str | os.PathLike[str], options: object = None, verbose: bool = True) -> None:
        """Write the endpoints and collections into a folder, with the values that weights have now.

        Args:
            filepath: the folder, which is made.
            options: TensorFlow's options of a SavedModel: None.
            verbose: whether what was written is printed.

        Example:
            >>> import tempfile
            >>> from anabranch import InputSpec
            >>> archive = ExportArchive("torch")
            >>> archive.add_endpoint("double", lambda x: 2 * x, [InputSpec(shape=(None, 3))])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     archive.write_out(folder, verbose=False)
            ...     sorted(os.listdir(folder))
            ['double.pt2']
        """
        if options is not None:
            raise ArgumentTypeError("options are TensorFlow's, and have no meaning here.", expected="None", got=shown(options))
        if not self._endpoints:
            raise NotReadyError("The archive has no endpoint.", repair='archive.track_and_add_endpoint("serve", model)')
        folder = Path(filepath)
        with reached("write", folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, (model, signature, options_of_export) in self._endpoints.items():
            exporting.export(model, folder / f"{name}.pt2", "torch", False, signature, **options_of_export)
        from safetensors.torch import save_file

        for name, weights in self._collections.items():
            tensors = {weight.path: weight.value.detach().clone().contiguous() for weight in weights}
            with reached("write", folder):
                save_file(tensors, folder / f"{name}.safetensors")
        if verbose:
            say(f"Saved the endpoints {', '.join(map(repr, self._endpoints))} at {os.fspath(filepath)!r}.")

    def _add(self, name: str, model: Model, signature: object, kwargs: dict[str, object]) -> None:
        self._check_name(name)
        self._endpoints[name] = model, signature, kwargs

    def _check_name(self, name: str) -> None:
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise ArgumentTypeError("name must be letters, digits, _ and -.", got=shown(name))
        if name in self._endpoints or name in self._collections:
            raise ArgumentError(f"The name {name!r} is taken.", expected="another", got=shown(name))


def _traced(fn: Callable[..., Any], signature: Sequence[object] | None) -> Model:
    """Return a function of tensors as a model."""
    if not isinstance(signature, (list, tuple)) or not signature:
        raise ArgumentError("A function or layer needs an input_signature.", expected="[InputSpec(shape=(None, 8))]")

    def symbol(leaf: object) -> Any:
        spec = exporting.spec_of(leaf)
        return Input(spec.shape[1:], batch_size=spec.shape[0], dtype=spec.dtype)

    inputs = [_tree.map_leaves(symbol, each) for each in signature]
    return Model(inputs[0] if len(inputs) == 1 else inputs, fn(*inputs))
