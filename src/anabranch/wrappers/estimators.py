"""Models as estimators of scikit-learn: in pipelines, searches, cross-validation."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from anabranch._arguments import to_boolean
from anabranch._asked import is_without_values, shown
from anabranch._errors import ArgumentTypeError, DataError, MissingExtraError, NotReadyError
from anabranch._frames import bound_methods
from anabranch.models import Model, clone_model

try:
    import sklearn
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
    from sklearn.utils.multiclass import type_of_target
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise MissingExtraError("Estimators need scikit-learn.", repair='pip install "anabranch[sklearn]"') from error

if TYPE_CHECKING:
    import numpy.typing as npt
    from sklearn.utils import Tags

    from anabranch.callbacks import History

    Array = npt.NDArray[np.generic]
    ModelLike = Model | Callable[..., Model]


def _named(given: object, name: str) -> dict[str, Any]:
    """Return arguments by name, of which None are none."""
    if given is not None and not isinstance(given, Mapping):
        raise ArgumentTypeError(f"{name} of an estimator must be a dict or None.", got=shown(given))
    return dict(given or {})


def _check_values(*given: object) -> None:
    """Raise where data are a tensor without values, which scikit-learn would ask for them."""
    for value in given:
        if is_without_values(value):
            raise DataError("An estimator takes arrays.", got=shown(value), repair="a sparse tensor's to_dense()")


@bound_methods
class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators share: settings, a model for each ``fit``, targets as a table."""

    model_: Model
    history_: History

    def __init__(
        self,
        model: ModelLike,
        warm_start: bool = False,
        model_kwargs: Mapping[str, object] | None = None,
        fit_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model  # scikit-learn asks that settings are stored as they are given
        self.warm_start = warm_start
        self.model_kwargs = model_kwargs
        self.fit_kwargs = fit_kwargs

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn asks of estimators: values depend on chance."""
        tags: Tags = super().__sklearn_tags__()
        tags.non_deterministic = True
        return tags

    def __sklearn_clone__(self) -> Self:
        """Return an estimator with these settings that is not fitted; a model that was given is copied."""
        settings = self.get_params(deep=False)
        if isinstance(self.model, Model):
            settings["model"] = copy.deepcopy(self.model)
        return type(self)(**settings)

    @property
    def epoch_(self) -> int:
        """How many epochs the last ``fit`` trained."""
        return len(self.history_.epoch) if "history_" in vars(self) else 0

    def set_fit_request(self, **kwargs: bool | str | None) -> Self:
        """Ask that scikit-learn passes these arguments on to ``fit``, where ``enable_metadata_routing`` is on.

        Args:
            kwargs: True, or the name under which a pipeline is given the argument; False: it is not passed; None: it is
                refused.

        Example:
            >>> import sklearn
            >>> from anabranch.wrappers import SKLearnRegressor
            >>> with sklearn.config_context(enable_metadata_routing=True):
            ...     estimator = SKLearnRegressor(model=dict).set_fit_request(sample_weight=True)
            >>> estimator.get_metadata_routing().fit.requests
            {'sample_weight': True}
        """
        if not sklearn.get_config()["enable_metadata_routing"]:
            raise NotReadyError(
                "scikit-learn's metadata routing is off.", repair="sklearn.set_config(enable_metadata_routing=True)"
            )
        requests = copy.deepcopy(self._get_metadata_request())
        for name, alias in kwargs.items():
            requests.fit.add_request(param=name, alias=alias)
        self._metadata_request = requests
        return self

    def fit(self, X: object, y: object = None, **kwargs: Any) -> Self:  # noqa: N803 - scikit-learn's name
        """Train a new model; with ``warm_start`` the one that is there.

        Args:
            X: samples, shape (N, …).
            y: their targets, shape (N,) or (N, outputs).
            kwargs: arguments of ``Model.fit``, before those in ``fit_kwargs``.

        Example:
            >>> from anabranch import Sequential, layers
            >>> from anabranch.wrappers import SKLearnRegressor
            >>> model = Sequential([layers.Dense(1, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> SKLearnRegressor(model, fit_kwargs={"verbose": 0}).fit([[1.0], [1.0]], [0.0, 0.0]).predict([[2.0]])
            array([0.], dtype=float32)
        """
        X, y = self._validated(X, y)  # noqa: N806
        y = self._encoded(y)
        model = self._model_for(X, y)
        given = {**_named(self.fit_kwargs, "fit_kwargs"), **kwargs}
        if unknown := given.keys() - inspect.signature(model.fit).parameters.keys():
            raise ArgumentTypeError("Model.fit takes no such arguments.", got=", ".join(sorted(unknown)))
        if model.optimizer is None or model.loss is None:
            raise NotReadyError("The model of an estimator must be compiled.", repair="model.compile(optimizer, loss) first")
        self.history_ = model.fit(X, y, **given)
        self.model_ = model
        return self

    def predict(self, X: object) -> Array:  # noqa: N803
        """Return the predictions for samples, in the form of the targets.

        Args:
            X: samples, shape (N, …).

        Example:
            >>> from anabranch import Sequential, layers
            >>> from anabranch.wrappers import SKLearnClassifier
            >>> model = Sequential([layers.Dense(2, "softmax")])
            >>> model.compile("adam", "categorical_crossentropy")
            >>> estimator = SKLearnClassifier(model, fit_kwargs={"epochs": 50, "verbose": 0})
            >>> estimator.fit([[-9.0], [9.0]] * 32, ["low", "high"] * 32).classes_.tolist()
            ['high', 'low']
        """
        return self._decoded(self._outputs(X))

    def _validated(self, X: object, y: object) -> tuple[Array, Array | None]:  # noqa: N803
        """Return samples and targets as arrays, whose columns are noted."""
        _check_values(X, y)
        found: tuple[Array, Array] = validate_data(self, X, y, allow_nd=True, multi_output=self._takes_tables())
        return found

    def _takes_tables(self) -> bool:
        return bool(self.__sklearn_tags__().target_tags.multi_output)

    def _outputs(self, X: object) -> Array:  # noqa: N803
        check_is_fitted(self)
        _check_values(X)
        X = validate_data(self, X, reset=False, allow_nd=True)  # noqa: N806
        return self.model_.predict(X, verbose=(self.fit_kwargs or {}).get("verbose", "auto"))

    def _model_for(self, X: Array, y: Array | None) -> Model:  # noqa: N803
        if to_boolean(self.warm_start, "warm_start", self) and "model_" in vars(self):
            return self.model_
        if isinstance(self.model, Model):
            return self.model if self.warm_start else clone_model(self.model)
        if not callable(self.model):
            raise ArgumentTypeError(
                "model of an estimator must be a Model, or a function that returns one.", got=shown(self.model)
            )
        given = {"X": X, "y": y, **_named(self.model_kwargs, "model_kwargs")}
        try:
            inspect.signature(self.model).bind(**given)
        except (TypeError, ValueError) as error:
            raise ArgumentTypeError(f"model of an estimator cannot be called: {error}.", expected="model(X=…, y=…)") from error
        made = self.model(**given)
        if not isinstance(made, Model):
            raise ArgumentTypeError("model of an estimator must be a Model, or return one.", got=repr(made)[:120])
        return made

    def _encoded(self, y: Array | None) -> Array | None:
        """Return targets as the model is to learn them: a table, one row for each sample."""
        if y is None:
            return None
        if type_of_target(y) == "unknown":
            raise DataError("Unknown label type: the targets are neither numbers nor classes.", got=repr(y)[:120])
        self._flat = y.ndim == 1
        return y[:, None] if y.ndim == 1 else y

    def _decoded(self, outputs: Array) -> Array:
        """Return what a model gives in the form of the targets."""
        return outputs[:, 0] if self._flat and outputs.ndim == 2 and outputs.shape[1] == 1 else outputs


@bound_methods
class SKLearnClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]  # as above
    """Classify by a model that learns one-hot targets, as an estimator of scikit-learn.

    Args:
        model: a compiled model, of which each ``fit`` trains a clone; or a function that returns one. It is called as
            ``model(X=X, y=y, **model_kwargs)``, with the targets that the model is to learn.
        warm_start: whether ``fit`` goes on with the model, and the weights, that are there.
        model_kwargs: further arguments for the function.
        fit_kwargs: arguments of ``Model.fit``.

    ``classes_`` are the labels, ``model_`` and ``history_`` what the last ``fit`` trained and returned.

    Example:
        >>> from anabranch import Sequential, layers
        >>> def classifier(X, y, width):
        ...     model = Sequential([layers.Dense(width, "relu"), layers.Dense(y.shape[1], "softmax")])
        ...     model.compile("adam", "categorical_crossentropy")
        ...     return model
        >>> estimator = SKLearnClassifier(classifier, model_kwargs={"width": 4}, fit_kwargs={"verbose": 0})
        >>> estimator.fit([[0.0], [1.0], [2.0]], ["a", "b", "c"]).model_.output_shape
        (None, 3)
    """

    classes_: Array

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn asks of estimators: a model that was trained for a moment scores poorly."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def decision_function(self, X: object) -> Array:  # noqa: N803
        """Return what the model gives for samples, shape (N, classes).

        Args:
            X: samples, shape (N, …).

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2, "softmax", kernel_initializer="zeros")])
            >>> model.compile("sgd", "categorical_crossentropy")
            >>> estimator = SKLearnClassifier(model, fit_kwargs={"verbose": 0}).fit([[0.0], [0.0]], [1, 2])
            >>> estimator.decision_function([[0.0]]).tolist()
            [[0.5, 0.5]]
        """
        return self._outputs(X)

    def _encoded(self, y: Array | None) -> Array | None:
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind not in ("binary", "multiclass"):
            raise DataError(f"Only binary and multiclass targets are classified. Unknown label type: {kind}")
        self.classes_, indices = np.unique(np.asarray(y), return_inverse=True)
        if len(self.classes_) == 1:
            raise DataError("Classifier can't train when only one class is present.", got=repr(self.classes_[0]))
        return np.eye(len(self.classes_), dtype="float32")[indices.reshape(-1)]

    def _decoded(self, outputs: Array) -> Array:
        found: Array = self.classes_[outputs.argmax(-1)]
        return found


@bound_methods
class SKLearnRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]  # as above
    """Predict numbers by a model, as an estimator of scikit-learn.

    Args:
        model: a compiled model, of which each ``fit`` trains a clone; or a function that returns one. It is called as
            ``model(X=X, y=y, **model_kwargs)``, with the targets as a table (N, outputs).
        warm_start: whether ``fit`` goes on with the model, and the weights, that are there.
        model_kwargs: further arguments for the function.
        fit_kwargs: arguments of ``Model.fit``.

    ``model_`` and ``history_`` are what the last ``fit`` trained and returned.

    Example:
        >>> from anabranch import Sequential, layers
        >>> model = Sequential([layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> SKLearnRegressor(model, fit_kwargs={"verbose": 0}).fit([[0.0], [1.0]], [0.0, 1.0]).predict([[3.0]]).shape
        (1,)
    """

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn asks of estimators: several outputs are predicted too."""
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        tags.target_tags.multi_output = True
        return tags


@bound_methods
class SKLearnTransformer(TransformerMixin, _Estimator):  # type: ignore[misc]  # as above
    """Transform samples by a model, such as one that embeds them, as an estimator of scikit-learn.

    Args:
        model: a compiled model, of which each ``fit`` trains a clone; or a function that returns one. It is called as
            ``model(X=X, y=y, **model_kwargs)``, with the targets as a table (N, outputs), or None.
        warm_start: whether ``fit`` goes on with the model, and the weights, that are there.
        model_kwargs: further arguments for the function.
        fit_kwargs: arguments of ``Model.fit``.

    ``model_`` and ``history_`` are what the last ``fit`` trained and returned.

    Example:
        >>> from anabranch import Sequential, layers
        >>> model = Sequential([layers.Dense(2)])
        >>> model.compile("sgd", "mse")
        >>> SKLearnTransformer(model, fit_kwargs={"verbose": 0}).fit_transform([[0.0], [1.0]], [[0.0, 0.0], [1.0, 1.0]]).shape
        (2, 2)
    """

    def __sklearn_tags__(self) -> Tags:
        """Return what scikit-learn asks of estimators: results are floats of the model's type."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def transform(self, X: object) -> Array:  # noqa: N803
        """Return what the model gives for samples.

        Args:
            X: samples, shape (N, …).

        Example:
            >>> from anabranch import Sequential, layers
            >>> model = Sequential([layers.Dense(2, kernel_initializer="zeros")])
            >>> model.compile("sgd", "mse")
            >>> estimator = SKLearnTransformer(model, fit_kwargs={"verbose": 0}).fit([[0.0]], [[0.0, 0.0]])
            >>> estimator.transform([[0.0]]).tolist()
            [[0.0, 0.0]]
        """
        return self._outputs(X)

    def _validated(self, X: object, y: object) -> tuple[Array, Array | None]:  # noqa: N803
        if y is None:
            found: Array = validate_data(self, X, allow_nd=True)
            return found, None
        return super()._validated(X, y)

    def _takes_tables(self) -> bool:
        return True
