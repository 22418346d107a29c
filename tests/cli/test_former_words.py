"""Words of Keras 1 and 2 under the stand-in: each works as today's, with one warning; the tables hold no word that is wrong."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import textwrap
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from anabranch.stand_in.former import backend, words

ROOT = Path(__file__).parents[2]
IMPORTS = [
    "from keras.layers.core import Dense, Dropout, Flatten",
    "from keras.layers.convolutional import Conv2D, ZeroPadding2D",
    "from keras.layers.advanced_activations import PReLU",
    "from keras.layers.merge import concatenate, Add",
    "from keras.layers.normalization import BatchNormalization",
    "from keras.layers.normalization.batch_normalization import BatchNormalization",
    "from tensorflow.keras.layers.experimental.preprocessing import Rescaling",
    "from tensorflow.keras.layers.experimental import preprocessing; preprocessing.Rescaling",
    "from keras.engine.topology import Layer, Input, InputLayer",
    "from keras.engine import Layer",
    "from keras.engine.training import Model",
    "import keras.engine.topology as topology; topology.Layer",
    "from keras.utils.np_utils import to_categorical; to_categorical([0, 1], nb_classes=2)",
    "from keras.utils.vis_utils import plot_model",
    "from keras.utils import np_utils; np_utils.to_categorical([0, 1])",
    "from keras.optimizers import adam, sgd; adam(lr=0.1); sgd()",
    "from tensorflow.keras.optimizers.legacy import Adam; assert Adam(lr=0.5).learning_rate == 0.5",
    "from keras.optimizers.experimental import SGD",
    "from tensorflow.python.keras.models import Model",
    "from tensorflow.python.keras import backend as K; K.epsilon()",
    "from keras.src.layers.core.dense import Dense",
    "from keras.src.models import Model",
    "from keras.objectives import mean_squared_error",
    "import keras.backend.tensorflow_backend as K; K.image_data_format()",
    "from keras.backend import mean, square; mean(square([1.0, 2.0]))",
    "from keras import layers; layers.Convolution2D(4, 3, 3, border_mode='same')",
    "import keras; keras.layers.Dense(output_dim=3, input_dim=2, init='normal')",
    "import keras; assert keras.layers.Conv2D(4, nb_row=3, nb_col=5).kernel_size == (3, 5)",
    "import keras; assert keras.layers.Conv2D(4, 3, dim_ordering='th').data_format == 'channels_first'",
    "import keras; assert keras.layers.Dropout(p=0.25).rate == 0.25",
    "import keras; x = keras.Input((2,)); keras.Model(input=x, output=keras.layers.Dense(1)(x))",
    "import keras; assert keras.optimizers.Adam(lr=0.5, epsilon=None, decay=0.0).epsilon == 1e-7",
    "import keras; assert keras.optimizers.SGD(lr=0.5, decay=1.0).learning_rate.assign",
    "import keras; keras.callbacks.ReduceLROnPlateau(epsilon=0.1)",
    "import keras\nclass Mine(keras.layers.Dense):\n    pass\nassert Mine(3, bias=False).use_bias is False",
]
MISSING = [
    ("from keras.layers import LocallyConnected2D", "write layers.Conv2D"),
    ("from keras.layers.core import Merge", "write layers.concatenate"),
    ("from keras.utils import multi_gpu_model", "torchrun"),
    ("from keras.models import model_from_yaml", "model_from_json"),
    ("from keras import backend as K; K.gradients", "torch.autograd.grad"),
    ("import tensorflow as tf; tf.GradientTape()", "loss.backward()"),
    ("import tensorflow as tf; tf.reduce_mean([1.0])", "keras.ops.mean(x, axis)"),
    ("import tensorflow as tf; tf.data.Dataset", "DataLoader"),
    ("import tensorflow as tf; tf.config.list_physical_devices('GPU')", "torch.cuda.device_count()"),
    ("import tensorflow as tf; tf.random.normal((2,))", "keras.random.normal(shape)"),
    ("import tensorflow as tf; tf.matmul", "keras.ops.matmul"),
    ("import keras.layers.nothing", "has no 'nothing'"),
    ("import keras; keras.layers.Dense(4, inut='x')", "inut"),
    ("from keras.layers.core.nothing import x", "has no 'nothing'"),
]


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(text))
    command = [sys.executable, "-m", "anabranch", "run", str(script)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=folder)


def test_former_paths_names_and_arguments(tmp_path: Path) -> None:
    text = f"""
        import json, warnings
        for line in {IMPORTS!r}:
            with warnings.catch_warnings(record=True) as found:
                warnings.simplefilter("always")
                try:
                    exec(line, {{}})
                    error = None
                except BaseException as raised:
                    error = repr(raised)
            print(json.dumps([line, error, [str(each.message) for each in found]]))
    """
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line, error) for line, error, _ in rows if error] == []
    said = [message for _, _, messages in rows for message in messages]
    counts = {line: len(messages) for line, _, messages in rows}
    assert counts["from keras.layers.normalization import BatchNormalization"] == 1
    assert counts["from keras.layers.normalization.batch_normalization import BatchNormalization"] == 0  # said already
    assert len(said) == len(set(said)), "each is said once"
    assert "keras.layers.core is a word of an older Keras; today: keras.layers." in said
    assert "keras.layers.normalization is a word of an older Keras; today: keras.layers." in said
    assert "keras.engine is a word of an older Keras; today: keras.layers, keras.models, keras, keras.utils." in said
    assert "lr of Adam is a word of an older Keras; today: Adam(learning_rate=…)." in said
    assert "init of Dense is a word of an older Keras; today: Dense(kernel_initializer=…)." in said


def test_what_is_gone_says_what_to_write(tmp_path: Path) -> None:
    text = f"""
        import json
        for line in {[line for line, _ in MISSING]!r}:
            try:
                exec(line, {{}})
                error = "nothing"
            except Exception as raised:
                error = str(raised)
            print(json.dumps(error))
    """
    done = run(tmp_path, text)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line, error) for (line, says), error in zip(MISSING, found, strict=True) if says not in error] == []


def test_a_script_of_keras_2_trains(tmp_path: Path) -> None:
    script = ROOT / "examples" / "drawer" / "keras2" / "cnn.py"
    command = [sys.executable, "-m", "anabranch", "run", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "predicted: [0 1 2 3]" in done.stdout
    line = next(n for n, text in enumerate(script.read_text().splitlines(), 1) if "fit_generator" in text)
    assert (
        f"cnn.py:{line}: UserWarning: model.fit_generator(…) is a word of an older Keras; today: model.fit(…)." in done.stderr
    )


def test_all_is_as_before_without_the_stand_in(tmp_path: Path) -> None:
    program = """
        import anabranch as ab
        from anabranch import stand_in
        before = ab.Model.fit
        stand_in.install()
        import keras
        assert keras.layers.Dense(3, init="zeros").kernel_initializer
        assert keras.Model is ab.Model and ab.Model.fit_generator
        stand_in.uninstall()
        assert ab.Model.fit is before and not hasattr(ab.Model, "fit_generator")
        try:
            ab.layers.Dense(3, init="zeros")
        except TypeError as error:
            assert "init" in str(error)
        else:
            raise SystemExit("taken")
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


# The tables


def test_words_of_today_are_keras_own(keras: Any) -> None:
    today = [*words.NAMES.values(), *(each.partition("(")[0] for each in words.BACKEND.values() if each)]
    wrong = []
    for name in today:
        module, _, word = name.rpartition(".")
        try:
            attrgetter(word)(importlib.import_module(f"keras.{module}" if module else "keras"))
        except (ImportError, AttributeError):
            wrong.append(name)
    assert wrong == []
    assert {name for name, each in words.BACKEND.items() if not each} == backend.OWN.keys() == backend.INSTEAD.keys()
    places = {place for each in words.MODULES.values() for place in each.split()}
    assert [place for place in places if place != "." and attrgetter(place)(keras) is None] == []


def test_arguments_of_today_are_keras_own(keras: Any) -> None:
    import inspect

    for owner, table in words.ARGUMENTS.items():
        if owner in ("Layer", "Windowed", "Pooling", "GlobalPooling", "Optimizer"):
            continue  # bases, whose arguments their subclasses take
        kind = attrgetter(owner)(keras) if owner[0].islower() or "." in owner else getattr(keras.layers, owner, None)
        kind = kind or getattr(keras.callbacks, owner, None) or getattr(keras, owner)
        if owner == "Model":
            continue
        taken = inspect.signature(kind).parameters
        assert [today for today in table.values() if today and today not in taken] == [], owner


X = np.random.default_rng(3).normal(size=(2, 3, 4)).astype("float32")
POSITIVE = np.abs(X) + 0.1
UNARY = (
    "abs", "argmax", "argmin", "batch_flatten", "cos", "cumprod", "cumsum", "elu", "exp", "expand_dims", "flatten",
    "hard_sigmoid", "l2_normalize", "max", "mean", "min", "ndim", "ones_like", "prod", "relu", "round", "sigmoid", "sign",
    "sin", "softmax", "softplus", "softsign", "square", "std", "sum", "tanh", "var", "zeros_like", "count_params", "int_shape",
    "temporal_padding",
)  # fmt: skip
CALLS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(UNARY, (X,)),
    "log": (POSITIVE,), "sqrt": (POSITIVE,), "cast": (X, "int32"), "clip": (X, -0.5, 0.5), "concatenate": ([X, X],),
    "stack": ([X, X],),
    "transpose": (X[0],), "constant": ([1.0, 2.0],), "dot": (X, X[0].T), "equal": (X, X), "greater": (X, 0.0),
    "gather": (X, [1, 0]), "less": (X, 0.0),
    "maximum": (X, 0.0), "minimum": (X, 0.0), "not_equal": (X, X), "ones": ((2, 3),), "zeros": ((2, 3),), "pow": (X, 2.0),
    "permute_dimensions": (X, (1, 0, 2)), "repeat": (X[0], 2), "repeat_elements": (X, 2, 1), "reshape": (X, (6, 4)),
    "reverse": (X, 1),
    "squeeze": (X[:, :1], 1), "tile": (X, (1, 2, 1)), "batch_dot": (X, X.transpose(0, 2, 1)), "switch": (X > 0, X, -X),
    "one_hot": (np.array([0, 2]), 3), "arange": (5,), "in_top_k": (X[0], np.array([1, 0, 2]), 2),
    "spatial_2d_padding": (X[..., None],), "bias_add": (X, np.ones(4, "float32")),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:.*word of an older Keras")
def test_functions_of_the_backend_compute_what_they_did(keras: Any, name: str) -> None:
    ours = backend.function(name)(*CALLS[name])
    theirs = expected(keras, name)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-5)


def expected(keras: Any, name: str) -> Any:
    """Return what NumPy says where the former arguments are others than today's, else what Keras's function of today does."""
    by_numpy: dict[str, Any] = {
        "argmax": lambda x: x.argmax(-1), "argmin": lambda x: x.argmin(-1), "batch_flatten": lambda x: x.reshape(len(x), -1),
        "expand_dims": lambda x: x[..., None], "flatten": np.ravel, "cumsum": lambda x: x.cumsum(0), "ndim": np.ndim,
        "l2_normalize": lambda x: x / np.sqrt((x**2).sum()), "cast": lambda x, kind: x.astype(kind), "cumprod": np.cumprod,
        "concatenate": lambda xs: np.concatenate(xs, -1), "constant": np.array, "gather": lambda x, i: x[i],
        "permute_dimensions": np.transpose, "repeat": lambda x, n: np.repeat(x[:, None], n, 1),
        "repeat_elements": lambda x, n, axis: np.repeat(x, n, axis), "reverse": np.flip, "batch_dot": np.matmul,
        "switch": np.where, "one_hot": lambda i, n: np.eye(n)[i], "in_top_k": lambda p, t,
        k: [p[i, c] >= np.sort(p[i])[-k] for i, c in enumerate(t)],
        "count_params": np.size, "int_shape": np.shape, "bias_add": np.add, "pow": np.power,
        "temporal_padding": lambda x: np.pad(x, ((0, 0), (1, 1), (0, 0))),
        "spatial_2d_padding": lambda x: np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
    }  # fmt: skip
    if name in by_numpy:
        return by_numpy[name](*CALLS[name])
    made = getattr(keras.ops, name)(*CALLS[name])
    return keras.ops.convert_to_numpy(made)
