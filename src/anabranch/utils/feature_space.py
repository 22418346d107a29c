"""Columns of a table as one vector: each encoded by its type, some crossed, learned from the table."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from anabranch import _tree, layers, registry, saving
from anabranch._arguments import Finite, Several, checked, guarded
from anabranch._asked import has_shape, method, shown
from anabranch._errors import ArgumentError, ArgumentTypeError, DataError, NotReadyError, unknown
from anabranch._frames import bound_methods
from anabranch.graph import Tensor as Symbol
from anabranch.layers.base import Layer
from anabranch.models.model import Model
from anabranch.saving.reading import LayerHolder

if TYPE_CHECKING:
    from anabranch.runtime import Tensor

KERAS_MODULE = "keras.src.layers.preprocessing.feature_space"  # where Keras has the classes that files name
_IDENTITY = "TFDIdentity"
_MODES = ("one_hot", "int", "float")


class Feature:
    """How a column is encoded: the dtype of its values, the layer that they go through, and the form of what it gives."""

    @checked
    def __init__(self, dtype: str, preprocessor: Layer, output_mode: str) -> None:
        if output_mode not in _MODES:
            raise unknown("output_mode", output_mode, _MODES, of="a feature")
        self.dtype, self.preprocessor, self.output_mode = dtype, preprocessor, output_mode

    def get_config(self) -> dict[str, Any]:
        """Return what it is made of, the layer as JSON."""
        layer = registry.serialize(self.preprocessor)
        if type(self.preprocessor) is layers.Identity:
            layer |= {"module": KERAS_MODULE, "class_name": _IDENTITY, "registered_name": _IDENTITY}
        layer.setdefault("build_config", _build_config(self.preprocessor))
        return {"dtype": self.dtype, "preprocessor": layer, "output_mode": self.output_mode}

    @classmethod
    @checked
    def from_config(cls, config: Mapping[str, Any]) -> Feature:
        """Make it of what ``get_config`` returned."""
        layer = config["preprocessor"]
        if isinstance(layer, Mapping):
            known = {**layer, "module": "keras.layers", "class_name": "Identity", "registered_name": None}
            layer = registry.deserialize(known if layer.get("class_name") == _IDENTITY else layer)
        return cls(str(config["dtype"]), layer, str(config["output_mode"]))


class Cross:
    """Columns that are hashed together into ``crossing_dim`` bins."""

    @checked
    def __init__(self, feature_names: Sequence[str], crossing_dim: Several, output_mode: str = "one_hot") -> None:
        if output_mode not in ("one_hot", "int"):
            raise unknown("output_mode", output_mode, ("one_hot", "int"), of="a cross")
        self.feature_names, self.crossing_dim, self.output_mode = tuple(feature_names), crossing_dim, output_mode

    def get_config(self) -> dict[str, Any]:
        """Return its arguments."""
        names = list(self.feature_names)
        return {"feature_names": names, "crossing_dim": self.crossing_dim, "output_mode": self.output_mode}

    @property
    def name(self) -> str:
        """The names of the columns, joined."""
        return "_X_".join(self.feature_names)


class _Saved(Layer):
    """Holds the layers of the columns as files have them."""

    def __init__(self, preprocessors: dict[str, Layer], name: str) -> None:
        super().__init__(name=name)
        self.preprocessors = preprocessors

    def call(self, inputs: Tensor) -> Tensor:
        """Return the inputs: nothing is computed here."""
        return inputs


@bound_methods
class FeatureSpace(LayerHolder):
    """Encodes the columns of a table: numbers scaled, categories looked up or hashed, some crossed, as one vector for each row.

    Args:
        features: the type of each column, by its name: ``"float"``, ``"float_normalized"``, ``"float_rescaled"``,
            ``"float_discretized"``, ``"integer_categorical"``, ``"string_categorical"``, ``"integer_hashed"``,
            ``"string_hashed"``, or what the methods of these names return.
        output_mode: ``"concat"``, one vector for each row, or ``"dict"``, a tensor for each column.
        crosses: names of columns that are crossed, as pairs or :meth:`cross`.
        crossing_dim: how many bins a cross has.
        hashing_dim: how many bins a hashed column has.
        num_discretization_bins: how many bins a column of numbers has.
        name: the name.

    Example:
        >>> space = FeatureSpace({"age": "float_normalized", "job": "string_categorical"})
        >>> space.adapt({"age": [20.0, 40.0], "job": ["cook", "pilot"]})
        >>> space({"age": [30.0], "job": ["cook"]}).tolist()
        [[0.0, 0.0, 0.0, 1.0]]
    """

    _kinds: ClassVar[tuple[str, ...]] = (
        "float", "float_normalized", "float_rescaled", "float_discretized", "integer_categorical", "string_categorical",
        "integer_hashed", "string_hashed",
    )  # fmt: skip

    @checked
    def __init__(
        self,
        features: Mapping[str, Any],
        output_mode: str = "concat",
        crosses: Sequence[Any] | None = None,
        crossing_dim: Several = 32,
        hashing_dim: Several = 32,
        num_discretization_bins: Several = 32,
        name: str | None = None,
    ) -> None:
        if not features:
            raise ArgumentError("features of FeatureSpace names columns.", got=shown(features))
        if output_mode not in ("concat", "dict"):
            raise unknown("output_mode", output_mode, ("concat", "dict"), of="FeatureSpace")
        self.name, self.output_mode = name or "feature_space", output_mode
        self.crossing_dim, self.hashing_dim, self.num_discretization_bins = crossing_dim, hashing_dim, num_discretization_bins
        self.features = {column: self._feature(column, kind) for column, kind in features.items()}
        self.crosses = [_cross(each, crossing_dim) for each in (() if crosses is None else crosses)]
        for cross in self.crosses:
            for column in cross.feature_names:
                if column not in self.features:
                    raise unknown("column", column, self.features, of="crosses")
        self.preprocessors = {column: feature.preprocessor for column, feature in self.features.items()}
        self._adapted = not self._learners()
        self._begin()

    def _begin(self) -> None:
        """Make inputs that are part of no graph yet."""
        self.inputs = {
            column: layers.Input((1,), dtype=feature.dtype, name=column) for column, feature in self.features.items()
        }
        self._model: Model | None = None
        self._encoded: _tree.Nest = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("inputs", "_model", "_encoded")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()  # the graph follows from the layers

    def _feature(self, column: str, kind: object) -> Feature:
        if isinstance(kind, Feature):
            return kind
        if isinstance(kind, Mapping) and isinstance(kind.get("config"), Mapping):
            return Feature.from_config(kind["config"])
        if not isinstance(kind, str) or kind not in self._kinds:
            raise unknown(f"type of column {column!r}:", str(kind), self._kinds)
        sizes = {
            "float_discretized": self.num_discretization_bins, "integer_hashed": self.hashing_dim,
            "string_hashed": self.hashing_dim,
        }  # fmt: skip
        make = getattr(self, kind)
        found: Feature = make(sizes[kind], name=column) if kind in sizes else make(name=column)
        return found

    # Types of columns

    @classmethod
    @checked
    def cross(cls, feature_names: Sequence[str], crossing_dim: int, output_mode: str = "one_hot") -> Cross:
        """Return columns that are crossed.

        Args:
            feature_names: their names.
            crossing_dim: how many bins there are.
            output_mode: ``"one_hot"`` or ``"int"``.

        Example:
            >>> FeatureSpace.cross(("job", "city"), 16).name
            'job_X_city'
        """
        return Cross(feature_names, crossing_dim, output_mode)

    @classmethod
    @checked
    def feature(cls, dtype: str, preprocessor: Layer, output_mode: str) -> Feature:
        """Return a column that goes through a layer of your own.

        Args:
            dtype: of the column's values.
            preprocessor: the layer.
            output_mode: ``"one_hot"``, ``"int"`` or ``"float"``: the form of what it gives.

        Example:
            >>> FeatureSpace.feature("float32", layers.Rescaling(0.1), "float").output_mode
            'float'
        """
        return Feature(dtype, preprocessor, output_mode)

    @classmethod
    @checked
    def float_rescaled(cls, scale: Finite = 1.0, offset: Finite = 0.0, name: str | None = None) -> Feature:
        """Return a column of numbers, scaled and shifted.

        Args:
            scale: the factor.
            offset: is added.
            name: of the column.

        Example:
            >>> FeatureSpace.float_rescaled(0.1).preprocessor.scale
            0.1
        """
        return Feature("float32", layers.Rescaling(scale, offset, name=_named(name)), "float")

    @classmethod
    @checked
    def float_normalized(cls, name: str | None = None) -> Feature:
        """Return a column of numbers, standardized by the mean and variance that ``adapt`` finds.

        Args:
            name: of the column.

        Example:
            >>> FeatureSpace.float_normalized().dtype
            'float32'
        """
        return Feature("float32", layers.Normalization(name=_named(name)), "float")

    @classmethod
    @checked
    def float_discretized(
        cls, num_bins: int | None, bin_boundaries: Sequence[builtins.float] | None = None, output_mode: str = "one_hot",
        name: str | None = None,
    ) -> Feature:  # fmt: skip
        """Return a column of numbers in bins.

        Args:
            num_bins: how many bins ``adapt`` makes.
            bin_boundaries: the boundaries, in the place of that.
            output_mode: ``"one_hot"`` or ``"int"``.
            name: of the column.

        Example:
            >>> FeatureSpace.float_discretized(4).output_mode
            'one_hot'
        """
        made = layers.Discretization(bin_boundaries, num_bins, name=_named(name))
        return Feature("float32", made, output_mode)

    @classmethod
    @checked
    def integer_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a column of integers of categories, which ``adapt`` learns.

        Args:
            max_tokens: of how many at most.
            num_oov_indices: how many positions others have.
            output_mode: ``"one_hot"`` or ``"int"``.
            name: of the column.

        Example:
            >>> FeatureSpace.integer_categorical().dtype
            'int32'
        """
        made = layers.IntegerLookup(max_tokens, num_oov_indices, name=_named(name))
        return Feature("int32", made, output_mode)

    @classmethod
    @checked
    def string_categorical(
        cls, max_tokens: int | None = None, num_oov_indices: int = 1, output_mode: str = "one_hot", name: str | None = None
    ) -> Feature:
        """Return a column of strings of categories, which ``adapt`` learns.

        Args:
            max_tokens: of how many at most.
            num_oov_indices: how many positions others have.
            output_mode: ``"one_hot"`` or ``"int"``.
            name: of the column.

        Example:
            >>> FeatureSpace.string_categorical().dtype
            'string'
        """
        made = layers.StringLookup(max_tokens, num_oov_indices, name=_named(name))
        return Feature("string", made, output_mode)

    @classmethod
    @checked
    def string_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a column of strings, hashed into bins.

        Args:
            num_bins: how many bins there are.
            output_mode: ``"one_hot"`` or ``"int"``.
            name: of the column.

        Example:
            >>> FeatureSpace.string_hashed(8).preprocessor.num_bins
            8
        """
        return Feature("string", layers.Hashing(num_bins, name=_named(name)), output_mode)

    @classmethod
    @checked
    def integer_hashed(cls, num_bins: int, output_mode: str = "one_hot", name: str | None = None) -> Feature:
        """Return a column of integers, hashed into bins.

        Args:
            num_bins: how many bins there are.
            output_mode: ``"one_hot"`` or ``"int"``.
            name: of the column.

        Example:
            >>> FeatureSpace.integer_hashed(8).dtype
            'int32'
        """
        return Feature("int32", layers.Hashing(num_bins, name=_named(name)), output_mode)

    @classmethod
    @checked
    def float(cls, name: str | None = None) -> Feature:
        """Return a column of numbers as they are.

        Args:
            name: of the column.

        Example:
            >>> FeatureSpace.float().output_mode
            'float'
        """
        return Feature("float32", layers.Identity(name=_named(name)), "float")

    # Learning and encoding

    def _learners(self) -> list[str]:
        """Return the columns whose layers learn from data."""
        return [column for column, layer in self.preprocessors.items() if method(layer, "adapt") and not _knows(layer)]

    @guarded
    def adapt(self, dataset: _tree.Nest) -> None:
        """Learn categories, bins and statistics from a table.

        Args:
            dataset: a dict of arrays by the names of columns, or an iterable of such dicts.

        Example:
            >>> space = FeatureSpace({"job": "string_categorical"})
            >>> space.adapt({"job": ["cook", "pilot", "cook"]})
            >>> space.preprocessors["job"].get_vocabulary()
            ['[UNK]', 'cook', 'pilot']
        """
        import numpy as np

        if not isinstance(dataset, Mapping) and (isinstance(dataset, str) or not isinstance(dataset, Iterable)):
            raise ArgumentTypeError("adapt takes a dict of arrays, or an iterable of dicts.", got=shown(dataset))
        batches = (
            [dataset] if isinstance(dataset, Mapping) else [each[0] if isinstance(each, tuple) else each for each in dataset]
        )
        for column in self._learners():
            try:
                parts = [np.atleast_1d(np.asarray(batch[column])) for batch in batches]
            except (KeyError, TypeError) as error:
                raise DataError(f"The data that adapt was given have no column {column!r}.", got=shown(dataset)) from error
            adapt = method(self.preprocessors[column], "adapt")
            if adapt is not None:
                whole = np.concatenate(parts).reshape(-1, 1)
                adapt(
                    iter([whole[at : at + 32] for at in range(0, len(whole), 32)])
                )  # so many as Keras, whose bins depend on it
        self._adapted = True
        self._model = self._encoded = None

    def get_inputs(self) -> dict[str, _tree.Nest]:
        """Return the symbolic inputs, by the names of columns.

        Example:
            >>> sorted(FeatureSpace({"age": "float"}).get_inputs())
            ['age']
        """
        self.get_encoded_features()
        return self.inputs

    def get_encoded_features(self) -> _tree.Nest:
        """Return what the inputs become, as a symbolic tensor or a dict of them: what a model is built on.

        Example:
            >>> FeatureSpace({"age": "float", "id": "integer_hashed"}).get_encoded_features().shape
            (None, 33)
        """
        if not self._adapted:
            raise NotReadyError(
                f"{self.name} has not learned its columns yet.", got=", ".join(self._learners()),
                repair="feature_space.adapt(table)",
            )  # fmt: skip
        if self._encoded is None:
            self._encoded = self._connected()
            self._model = Model(self.inputs, self._encoded, name=self.name)
        return self._encoded

    def _connected(self) -> _tree.Nest:
        given: dict[str, Any] = {column: self.preprocessors[column](self.inputs[column]) for column in self.inputs}
        crossed: dict[str, Any] = {}
        for cross in self.crosses:
            layer = layers.HashedCrossing(cross.crossing_dim, name=cross.name)
            crossed[cross.name] = layer([given[column] for column in cross.feature_names])
        found: dict[str, Any] = {}
        for column in sorted(given):
            feature = self.features[column]
            found[column] = self._vector(column, given[column], feature.output_mode, _size(feature.preprocessor))
        for cross in sorted(self.crosses, key=lambda each: each.name):
            found[cross.name] = self._vector(cross.name, crossed[cross.name], cross.output_mode, cross.crossing_dim)
        if self.output_mode == "dict":
            return found
        whole = next((name for name, tensor in found.items() if "float" not in tensor.dtype), None)
        if whole is not None:
            raise ArgumentError(
                f"Column {whole!r} is not encoded as a vector, so it joins no other.", got=found[whole].dtype,
                repair="output_mode='one_hot' of the column, or output_mode='dict' of the FeatureSpace",
            )  # fmt: skip
        return layers.Concatenate()(list(found.values())) if len(found) > 1 else next(iter(found.values()))

    def _vector(self, name: str, tensor: _tree.Nest, mode: str, size: int | None) -> _tree.Nest:
        if mode != "one_hot":
            return tensor
        if size is None or "int" not in tensor.dtype:
            raise ArgumentError(
                f"Column {name!r} cannot be one-hot: how many categories there are is not known.", got=f"dtype {tensor.dtype}",
                repair="output_mode='int' or 'float' of the column",
            )  # fmt: skip
        return layers.CategoryEncoding(size, output_mode="multi_hot")(tensor)

    def __call__(self, data: Mapping[str, Any]) -> _tree.Nest:
        """Return rows encoded; of single values, one row without the batch."""
        if not isinstance(data, Mapping):
            raise ArgumentTypeError("A FeatureSpace is called on a dict of columns.", got=shown(data))
        if any(isinstance(value, Symbol) for value in data.values()):
            self.get_encoded_features()
            return self._model(dict(data)) if self._model is not None else None
        import numpy as np

        arrays: dict[str, _tree.Nest] = {
            column: value if has_shape(value) else np.asarray(value) for column, value in data.items() if column in self.inputs
        }
        single = all(len(array.shape) == 0 for array in arrays.values())
        shaped = {column: array.reshape(1, 1) if len(array.shape) == 0 else array for column, array in arrays.items()}
        self.get_encoded_features()
        if self._model is None:
            raise NotReadyError(f"{self.name} has no graph.")
        found = self._model(shaped)
        return _tree.map_leaves(lambda leaf: leaf[0], found) if single else found

    def save(self, filepath: str | Path) -> None:
        """Write it to a ``.keras`` file, as Keras has it; ``load_model`` gives it back.

        Args:
            filepath: the file, whose name ends in ``.keras``.

        Example:
            >>> import numpy as np
            >>> from anabranch import saving
            >>> FeatureSpace({"age": "float"}).save("space.keras")
            >>> saving.load_model("space.keras")({"age": np.array([[2.0]])}).tolist()
            [[2.0]]
        """
        self.get_encoded_features()
        saving.save_model(self, filepath)

    def get_config(self) -> dict[str, Any]:
        """Return its arguments as JSON, in Keras's form.

        Example:
            >>> FeatureSpace({"age": "float"}, crossing_dim=8).get_config()["crossing_dim"]
            8
        """
        return {
            "features": {column: _described("Feature", each.get_config()) for column, each in self.features.items()},
            "output_mode": self.output_mode, "crosses": [_described("Cross", each.get_config()) for each in self.crosses],
            "crossing_dim": self.crossing_dim, "hashing_dim": self.hashing_dim,
            "num_discretization_bins": self.num_discretization_bins,
            **({} if self.name == "feature_space" else {"name": self.name}),
        }  # fmt: skip

    @classmethod
    @checked
    def from_config(cls, config: dict[str, Any]) -> FeatureSpace:
        """Make it of what ``get_config`` returned; what it has learned of a table is in a file alone.

        Args:
            config: the JSON.

        Example:
            >>> space = FeatureSpace.from_config(FeatureSpace({"age": "float"}).get_config())
            >>> space({"age": [2.0]}).tolist()
            [[2.0]]
        """
        return cls(**config)

    def get_build_config(self) -> dict[str, Any]:
        """Return what each column's layer was built on.

        Example:
            >>> FeatureSpace({"age": "float"}).get_build_config()
            {'age': {'input_shape': [None, 1]}}
        """
        return {column: _build_config(layer) for column, layer in self.preprocessors.items()}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Build the columns' layers, whose weights and vocabularies a file then gives.

        Args:
            config: what ``get_build_config`` returned.

        Example:
            >>> space = FeatureSpace({"age": "float"})
            >>> space.build_from_config(space.get_build_config())
            >>> space({"age": [2.0]}).tolist()
            [[2.0]]
        """
        for column, layer in self.preprocessors.items():
            if config.get(column, {}).get("input_shape") and not layer.built:
                layer.build((None, 1))
        self._adapted = True

    def _saved_layers_(self) -> Layer:
        return _Saved(self.preprocessors, self.name)


def _described(kind: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": KERAS_MODULE, "class_name": kind, "config": config, "registered_name": kind}


def _build_config(layer: Layer) -> dict[str, Any]:
    return {} if layer._writes_variables_ else {"input_shape": [None, 1]}  # lookups are built without a shape


def _cross(given: Any, crossing_dim: int) -> Cross:
    if isinstance(given, Mapping) and isinstance(given.get("config"), Mapping):
        return Cross(**given["config"])
    return given if isinstance(given, Cross) else Cross(given, crossing_dim)


def _named(column: str | None) -> str | None:
    return None if column is None else f"{column}_preprocessor"


def _knows(layer: Layer) -> bool:
    """Return whether a layer was given what ``adapt`` would learn."""
    if isinstance(layer, layers.Normalization):
        return layer.input_mean is not None
    if isinstance(layer, layers.Discretization):
        return layer.num_bins is None
    return layer.get_config().get("vocabulary") is not None


def _size(layer: Layer) -> int | None:
    """Return how many integers a layer gives."""
    size = method(layer, "vocabulary_size")
    if size is not None:
        return int(size())
    if isinstance(layer, layers.Discretization) and layer.bin_boundaries is not None:
        return len(layer.bin_boundaries) + 1
    return layer.num_bins if isinstance(layer, (layers.Hashing, layers.HashedCrossing)) else None
