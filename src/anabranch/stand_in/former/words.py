"""Tables of former words: what a module, a name, an argument or a method of Keras 1 or 2 is called today."""

from __future__ import annotations

_SEVERAL = (
    "model.to_torch() in torch.nn.parallel.DistributedDataParallel, trained by a loop in a script that torchrun starts; "
    "fit uses one device"
)

# Module paths, after the root ------------------------------------------------------------------------------------------------

_LAYERS = (
    "advanced_activations", "convolutional", "convolutional_recurrent", "core", "cudnn_recurrent", "embeddings", "experimental",
    "experimental.preprocessing", "local", "merge", "noise", "normalization", "pooling", "preprocessing", "recurrent", "rnn",
    "attention", "wrappers", "reshaping", "regularization", "activation",
)  # fmt: skip
_ENGINE = (
    "base_layer", "data_adapter", "functional", "input_layer", "input_spec", "keras_tensor", "network", "sequential",
    "topology",
    "training",
)  # fmt: skip
_UTILS = (
    "all_utils", "conv_utils", "data_utils", "generic_utils", "image_utils", "io_utils", "layer_utils", "np_utils", "tf_utils",
    "training_utils", "vis_utils", "visualize_util",
)  # fmt: skip

MODULES: dict[str, str] = {
    **{f"layers.{name}": "layers" for name in _LAYERS},
    "engine": "layers models . utils",
    **{f"engine.{name}": "layers models . utils" for name in _ENGINE},
    **{f"utils.{name}": "utils saving" for name in _UTILS},
    "applications.resnet50": "applications.resnet applications",
    "backend.tensorflow_backend": "backend",
    "callbacks.callbacks": "callbacks",
    "experimental": ".",
    "initializations": "initializers",
    "initializers.initializers_v2": "initializers",
    "layers.normalization.batch_normalization": "layers",
    "layers.normalization.layer_normalization": "layers",
    "legacy": "layers models",
    "legacy.layers": "layers",
    "metrics.metrics": "metrics",
    "mixed_precision.experimental": "mixed_precision",
    "objectives": "losses",
    "optimizer_v2": "optimizers",
    **{f"optimizer_v2.{name}": "optimizers" for name in ("adam", "adamax", "adagrad", "gradient_descent", "nadam", "rmsprop")},
    "optimizers.experimental": "optimizers",
    "optimizers.legacy": "optimizers",
    "optimizers.optimizer_v2": "optimizers",
    "saving.save": "models saving",
}
"""Former module -> the modules of today that have its names; "." is ``keras`` itself."""
PACKAGES = frozenset(each.rpartition(".")[0] for each in MODULES)
"""Former packages that other former modules are in."""

PRIVATE = ("src", "api", "_tf_keras.keras", "python.keras")
"""Where Keras's own files are: a path in there means the public module that it begins with."""

# Names -----------------------------------------------------------------------------------------------------------------------

NAMES: dict[str, str] = {
    **{f"layers.{name.replace('Conv', 'Convolution')}": f"layers.{name}" for name in (
        "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "SeparableConv1D",
        "SeparableConv2D",
    )},
    "layers.AtrousConvolution1D": "layers.Conv1D", "layers.AtrousConvolution2D": "layers.Conv2D",
    "layers.BatchNormalizationV1": "layers.BatchNormalization", "layers.BatchNormalizationV2": "layers.BatchNormalization",
    "layers.CuDNNGRU": "layers.GRU", "layers.CuDNNLSTM": "layers.LSTM", "layers.Deconvolution2D": "layers.Conv2DTranspose",
    "layers.Deconvolution3D": "layers.Conv3DTranspose", "layers.SyncBatchNormalization": "layers.BatchNormalization",
    "layers.TimeDistributedDense": "layers.Dense", "models.Functional": "models.Model", "engine.Functional": "models.Model",
    "models.Network": "models.Model", "layers.Network": "models.Model",
    **{f"optimizers.{name.lower()}": f"optimizers.{name}" for name in (
        "Adadelta", "Adagrad", "Adam", "Adamax", "Nadam", "RMSprop", "SGD", "Ftrl",
    )},
    "initializers.normal": "initializers.random_normal", "initializers.uniform": "initializers.random_uniform",
    "initializers.zero": "initializers.zeros", "initializers.one": "initializers.ones",
    "constraints.maxnorm": "constraints.max_norm", "constraints.nonneg": "constraints.non_neg",
    "constraints.unitnorm": "constraints.unit_norm",
    "regularizers.l1l2": "regularizers.l1_l2", "regularizers.activity_l1": "regularizers.l1",
    "regularizers.activity_l2": "regularizers.l2",
    "losses.mean_squared_error_loss": "losses.mean_squared_error", "losses.cosine_proximity": "losses.cosine_similarity",
    "losses.cosine": "losses.cosine_similarity", "metrics.cosine_proximity": "losses.cosine_similarity",
    "utils.plot": "utils.plot_model", "utils.Sequence": "utils.PyDataset", "utils.load_img": "utils.load_img",
    "utils.CustomObjectScope": "saving.custom_object_scope", "utils.custom_object_scope": "saving.custom_object_scope",
    "preprocessing.image.random_rotation": "layers.RandomRotation", "preprocessing.image.random_zoom": "layers.RandomZoom",
    "preprocessing.image.random_shift": "layers.RandomTranslation", "callbacks.callbacks": "callbacks",
    "mixed_precision.Policy": "dtype_policies.DTypePolicy", "mixed_precision.experimental.Policy": "dtype_policies.DTypePolicy",
    "mixed_precision.set_policy": "mixed_precision.set_dtype_policy",
}  # fmt: skip
"""Former name -> name of today, where it is served; both after the root."""

GONE: dict[str, str] = {
    "layers.Merge": "layers.concatenate([a, b]), layers.add([a, b]) and the like, of tensors",
    "layers.merge": "layers.concatenate([a, b], axis=-1), layers.add([a, b]) and the like",
    "layers.LocallyConnected1D": "layers.Conv1D, or torch's unfold and a matrix for each position in a Layer of your own",
    "layers.LocallyConnected2D": "layers.Conv2D, or torch's unfold and a matrix for each position in a Layer of your own",
    "layers.MaxoutDense": "layers.Dense(n * k), layers.Reshape((n, k)) and the maximum over the last axis",
    "layers.Highway": "gate * layers.Dense(n)(x) + (1 - gate) * x with gate = layers.Dense(n, activation='sigmoid')(x)",
    "layers.ThresholdedReLU": "layers.Lambda(lambda x: x * ops.cast(x > theta, x.dtype))",
    "layers.DenseFeatures": "utils.FeatureSpace, which turns columns into one vector",
    "layers.RandomHeight": "layers.RandomZoom", "layers.RandomWidth": "layers.RandomZoom",
    "models.Graph": "inputs, layers called on them, and Model(inputs, outputs)",
    "models.model_from_yaml": "models.model_from_json(model.to_json()); YAML could run code",
    "models.model_from_config": "Model.from_config(config)",
    "utils.multi_gpu_model": _SEVERAL,
    "utils.HDF5Matrix": "h5py.File(path)[name], which fit takes as it is",
    "utils.GeneratorEnqueuer": "utils.PyDataset(workers=…)", "utils.OrderedEnqueuer": "utils.PyDataset(workers=…)",
    "utils.convert_all_kernels_in_model": "nothing: kernels of Theano are not read",
    "utils.print_summary": "model.summary()", "estimator": "model.fit",
    "wrappers.scikit_learn": "keras.wrappers.SKLearnClassifier",
    "wrappers.KerasClassifier": "keras.wrappers.SKLearnClassifier",
    "wrappers.KerasRegressor": "keras.wrappers.SKLearnRegressor",
    "optimizers.TFOptimizer": "an optimizer of keras.optimizers, or a class of torch.optim",
}  # fmt: skip
"""Former name -> what to write today, where nothing answers to it."""

# keras.backend ---------------------------------------------------------------------------------------------------------------

_SAME = (
    "abs", "all", "any", "arange", "cast", "clip", "cos", "cumprod", "elu", "equal", "exp", "eye", "floor", "greater",
    "greater_equal", "hard_sigmoid", "less", "less_equal", "log", "logsumexp", "max", "maximum", "mean", "min", "minimum",
    "ndim",
    "not_equal", "one_hot", "prod", "reshape", "round", "shape", "sigmoid", "sign", "sin", "softplus", "softsign", "sqrt",
    "square",
    "squeeze", "stack", "std", "sum", "tanh", "tile", "transpose", "var", "stop_gradient", "binary_crossentropy",
    "categorical_crossentropy", "sparse_categorical_crossentropy", "slice",
)  # fmt: skip
BACKEND: dict[str, str] = {
    **{name: f"ops.{name}" for name in _SAME},
    "argmax": "ops.argmax(x, axis=-1)", "argmin": "ops.argmin(x, axis=-1)", "batch_flatten": "",
    "concatenate": "ops.concatenate(tensors>xs, axis=-1)", "constant": "ops.convert_to_tensor(value>x, dtype=None)",
    "conv1d": "ops.conv(x>inputs, kernel, strides=1, padding='valid', data_format=None, dilation_rate=1)",
    "conv2d": "ops.conv(x>inputs, kernel, strides=(1, 1), padding='valid', data_format=None, dilation_rate=(1, 1))",
    "conv3d": "ops.conv(x>inputs, kernel, strides=(1, 1, 1), padding='valid', data_format=None, dilation_rate=(1, 1, 1))",
    "cumsum": "ops.cumsum(x, axis=0)", "dot": "ops.dot(x>x1, y>x2)",
    "dropout": "random.dropout(x>inputs, level>rate, noise_shape=None, seed=None)",
    "expand_dims": "ops.expand_dims(x, axis=-1)", "flatten": "ops.ravel(x)", "gather": "ops.take(reference>x, indices, axis=0)",
    "identity": "ops.copy(x)", "in_top_k": "ops.in_top_k(predictions, targets, k)",
    "l2_normalize": "ops.normalize(x, axis=None)", "map_fn": "ops.map(fn>f, elems>xs)", "ones": "ops.ones(shape, dtype=None)",
    "ones_like": "ops.ones_like(x, dtype=None)", "permute_dimensions": "ops.transpose(x, pattern>axes)",
    "pow": "ops.power(x>x1, a>x2)",
    "random_bernoulli": "", "random_normal": "random.normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None)",
    "random_uniform": "random.uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None)",
    "relu": "", "repeat": "", "repeat_elements": "ops.repeat(x, rep>repeats, axis)", "reverse": "ops.flip(x, axes>axis)",
    "softmax": "ops.softmax(x, axis=-1)", "switch": "",
    "truncated_normal": "random.truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None)",
    "zeros": "ops.zeros(shape, dtype=None)", "zeros_like": "ops.zeros_like(x, dtype=None)", "int_shape": "", "batch_dot": "",
    "bias_add": "", "count_params": "", "eval": "", "function": "", "get_value": "", "set_value": "", "batch_get_value": "",
    "batch_set_value": "", "in_train_phase": "", "in_test_phase": "", "image_dim_ordering": "", "set_image_dim_ordering": "",
    "learning_phase": "", "set_learning_phase": "", "pool2d": "", "resize_images": "", "update": "", "update_add": "",
    "update_sub": "", "print_tensor": "", "spatial_2d_padding": "", "temporal_padding": "", "dtype": "ops.dtype(x)",
    "manual_variable_initialization": "", "variable": "",
}  # fmt: skip
"""Function of keras.backend -> that of today, with its former arguments where they differ (``former>today``); "" where the
function in ``backend.py`` of that name is what it means."""

BACKEND_GONE: dict[str, str] = {
    "gradients": "torch.autograd.grad(loss, variables)",
    "placeholder": "keras.Input(shape)", "get_session": "nothing: there are no sessions",
    "set_session": "nothing: there are no sessions",
    "rnn": "layers.RNN(cell)", "foldl": "ops.scan(f, init, xs)", "foldr": "ops.scan(f, init, xs, reverse=True)",
    "is_sparse": "tensor.is_sparse", "to_dense": "tensor.to_dense()", "tf": "import torch", "ctc_batch_cost": "ops.ctc_loss",
    "ctc_decode": "ops.ctc_decode", "name_scope": "keras.name_scope(name)",
}  # fmt: skip

# Arguments -------------------------------------------------------------------------------------------------------------------

_KERNEL = {
    "init": "kernel_initializer", "W_regularizer": "kernel_regularizer", "b_regularizer": "bias_regularizer",
    "W_constraint": "kernel_constraint", "b_constraint": "bias_constraint", "bias": "use_bias", "weight_decay": "",
}  # fmt: skip
_WINDOW = {
    "border_mode": "padding", "subsample": "strides", "subsample_length": "strides", "dim_ordering": "data_format",
    "atrous_rate": "dilation_rate", "nb_filter": "filters", "filter_length": "kernel_size",
}  # fmt: skip
_POOL = {"pool_length": "pool_size", "stride": "strides", "border_mode": "padding", "dim_ordering": "data_format"}
_RECURRENT = {
    **_KERNEL, "output_dim": "units", "inner_init": "recurrent_initializer", "inner_activation": "recurrent_activation",
    "U_regularizer": "recurrent_regularizer", "dropout_W": "dropout", "dropout_U": "recurrent_dropout", "consume_less": "",
    "implementation": "", "forget_bias_init": "",
}  # fmt: skip
_RATE = {"lr": "learning_rate", "decay": "learning_rate", "schedule_decay": ""}
_WORKERS = ("workers", "use_multiprocessing", "max_queue_size", "max_q_size", "nb_worker", "pickle_safe")
_NO_WORKERS = dict.fromkeys(_WORKERS, "")

ARGUMENTS: dict[str, dict[str, str]] = {
    "Layer": {
        "batch_input_shape": "batch_shape", "input_dtype": "dtype", "input_dim": "input_shape", "input_length": "input_shape",
    },
    "Dense": {**_KERNEL, "output_dim": "units"},
    "Windowed": {**_KERNEL, **_WINDOW, "nb_row": "kernel_size", "nb_col": "kernel_size"},
    "Pooling": _POOL, "GlobalPooling": {"dim_ordering": "data_format"},
    "Flatten": {"dim_ordering": "data_format"}, "ZeroPadding2D": {"dim_ordering": "data_format"},
    "UpSampling1D": {"length": "size"}, "UpSampling2D": {"dim_ordering": "data_format"},
    "Cropping2D": {"dim_ordering": "data_format"},
    "Embedding": {
        "init": "embeddings_initializer", "W_regularizer": "embeddings_regularizer", "W_constraint": "embeddings_constraint",
        "dropout": "",
    },
    "LSTM": _RECURRENT, "GRU": _RECURRENT,
    "ConvLSTM2D": {
        **{name: today for name, today in _RECURRENT.items() if today != "units"}, **_WINDOW, "nb_row": "kernel_size",
        "nb_col": "kernel_size",
    },
    "SimpleRNN": {name: today for name, today in _RECURRENT.items() if today != "recurrent_activation"},
    "Dropout": {"p": "rate"}, "GaussianDropout": {"p": "rate"}, "GaussianNoise": {"sigma": "stddev"},
    "AlphaDropout": {"p": "rate"},
    "SpatialDropout1D": {"p": "rate"},
    **{f"SpatialDropout{rank}D": {"p": "rate", "dim_ordering": "data_format"} for rank in (2, 3)},
    "BatchNormalization": {
        "mode": "", "beta_init": "beta_initializer", "gamma_init": "gamma_initializer", "fused": "", "virtual_batch_size": "",
    },
    "ReLU": {"alpha": "negative_slope"}, "LeakyReLU": {"alpha": "negative_slope"},
    "Optimizer": _RATE,
    "ModelCheckpoint": {"period": ""}, "ReduceLROnPlateau": {"epsilon": "min_delta"},
    "TensorBoard": {"write_grads": "", "batch_size": "", "embeddings_layer_names": "", "embeddings_data": ""},
    "Model": {"input": "inputs", "output": "outputs"},
    "Model.fit": {"nb_epoch": "epochs", "show_accuracy": "", **_NO_WORKERS},
    "Model.evaluate": {"show_accuracy": "", **_NO_WORKERS}, "Model.predict": _NO_WORKERS,
    "Model.compile": {"sample_weight_mode": "", "class_mode": "", "target_tensors": "", "options": ""},
    "utils.to_categorical": {"nb_classes": "num_classes"},
}  # fmt: skip
"""Class, method or function -> its former arguments and their names of today; "" for what has no effect any more."""

VALUES: dict[str, dict[object, object]] = {"data_format": {"th": "channels_first", "tf": "channels_last", "default": None}}
"""Argument of today -> former values and those of today."""

# Methods and attributes ------------------------------------------------------------------------------------------------------

METHODS: dict[str, str] = {
    "fit_generator": "fit",
    "evaluate_generator": "evaluate",
    "predict_generator": "predict",
    "predict_proba": "predict",
    "predict_classes": "predict",
}
"""Former method of a model -> that of today."""

GENERATORS: dict[str, str] = {"nb_epoch": "epochs", **_NO_WORKERS}
"""Former argument of those that take a generator -> that of today."""

METRICS: dict[str, str] = {
    "acc": "accuracy",
    "accuracy": "acc",
    "mse": "mean_squared_error",
    "mean_squared_error": "mse",
    "mae": "mean_absolute_error",
    "mean_absolute_error": "mae",
    "lr": "learning_rate",
    "categorical_accuracy": "accuracy",
}
"""Name in logs and histories -> the other name that the same may have."""

# TensorFlow, where it is not installed ---------------------------------------------------------------------------------------

TENSORFLOW: dict[str, str] = {
    "GradientTape": "loss = …; loss.backward(), or torch.autograd.grad(loss, tensors)",
    "function": "nothing: leave the decorator out", "data": "torch.utils.data.DataLoader, arrays, or keras.utils.PyDataset",
    "config": "torch.cuda.device_count(); devices are chosen by config.set_device", "device": "config.set_device('cuda:0')",
    "distribute": _SEVERAL,
    "image": "keras.ops.image, for instance keras.ops.image.resize(images, size)",
    "io": "Python's open(path, 'rb').read()", "math": "keras.ops, for instance keras.ops.log(x)",
    "nn": "keras.ops, for instance keras.ops.softmax(x)", "linalg": "keras.ops.linalg",
    "compat": "today's words, without tf.compat.v1",
    "constant": "keras.ops.convert_to_tensor(value)", "convert_to_tensor": "keras.ops.convert_to_tensor(value)",
    "Variable": "keras.Variable(value), or torch.nn.Parameter", "Tensor": "torch.Tensor", "float32": "'float32'",
    "int32": "'int32'",
    "int64": "'int64'", "float64": "'float64'", "float16": "'float16'", "bool": "'bool'", "string": "str",
    "newaxis": "None, as in x[:, None]", "print": "print(x)", "map_fn": "keras.ops.map(f, xs)",
    "while_loop": "keras.ops.while_loop",
    "py_function": "the function itself", "numpy_function": "the function itself", "Module": "keras.Layer, or torch.nn.Module",
    "saved_model": "model.save('model.keras'), or model.to_torch()", "lite": "torch.onnx.export(model.to_torch(), …)",
    "summary": "keras.callbacks.TensorBoard, or torch.utils.tensorboard", "gather": "keras.ops.take(x, indices, axis)",
    "one_hot": "keras.ops.one_hot(x, num_classes)", "concat": "keras.ops.concatenate(xs, axis)", "range": "keras.ops.arange(n)",
    "executing_eagerly": "True", "Session": "nothing: values are computed when they are asked for",
    "random.normal": "keras.random.normal(shape)", "random.uniform": "keras.random.uniform(shape)",
    "random.truncated_normal": "keras.random.truncated_normal(shape)", "random.shuffle": "keras.random.shuffle(x)",
    "reduce_mean": "keras.ops.mean(x, axis)", "reduce_sum": "keras.ops.sum(x, axis)", "reduce_max": "keras.ops.max(x, axis)",
    "reduce_min": "keras.ops.min(x, axis)", "reduce_prod": "keras.ops.prod(x, axis)", "reduce_any": "keras.ops.any(x, axis)",
    "reduce_all": "keras.ops.all(x, axis)", "clip_by_value": "keras.ops.clip(x, least, most)", "pow": "keras.ops.power(x, y)",
    "multiply": "keras.ops.multiply(x, y)", "random.categorical": "keras.random.categorical(logits, num_samples)",
    "debugging": "numpy.testing, or torch.testing", "strings": "Python's str, before the data go into the model",
    "feature_column": "keras.utils.FeatureSpace", "estimator": "model.fit", "train": "model.save and callbacks.ModelCheckpoint",
    "test": "unittest, or pytest", "python": "the public names of keras",
}  # fmt: skip
"""What is TensorFlow's own, after ``tensorflow.`` -> what to write instead."""

IN_OPS = (
    "abs", "add", "argmax", "argmin", "argsort", "broadcast_to", "cast", "cond", "cos", "cumsum", "divide", "einsum", "equal",
    "exp",
    "expand_dims", "eye", "floor", "greater", "less", "linspace", "log", "logical_and", "logical_not", "logical_or", "matmul",
    "maximum",
    "minimum", "not_equal", "ones", "ones_like", "pad", "repeat", "reshape", "roll", "round", "scan", "shape", "sigmoid",
    "sign", "sin",
    "slice", "sort", "split", "sqrt", "square", "squeeze", "stack", "stop_gradient", "subtract", "tanh", "tensordot", "tile",
    "transpose", "unstack", "where", "zeros", "zeros_like", "identity", "size",
)  # fmt: skip
"""Functions of TensorFlow's that ``keras.ops`` has under the same name."""


def today_of_tensorflow(name: str) -> str | None:
    """Return what to write in the place of a name of TensorFlow's, given after ``tensorflow.``.

    >>> today_of_tensorflow("reduce_mean"), today_of_tensorflow("data.Dataset"), today_of_tensorflow("exp")
    ('keras.ops.mean(x, axis)', 'torch.utils.data.DataLoader, arrays, or keras.utils.PyDataset', 'keras.ops.exp(…)')
    """
    parts = name.split(".")
    if parts[0] == "math" and len(parts) > 1:
        return today_of_tensorflow(parts[1])
    for length in range(len(parts), 0, -1):
        if (found := TENSORFLOW.get(".".join(parts[:length]))) is not None:
            return found
    return f"keras.ops.{parts[0]}(…)" if parts[0] in IN_OPS else None


def public_path(path: str) -> str:
    """Return a module path without what marks it as Keras's own: ``src.layers.core`` is ``layers.core``.

    >>> public_path("src.layers.core.dense"), public_path("layers.core")
    ('layers.core.dense', 'layers.core')
    """
    for private in PRIVATE:
        if path == private or path.startswith(f"{private}."):
            return path[len(private) + 1 :]
    return path


def places(path: str) -> list[str] | None:
    """Return the modules of today that have the names of a former module; None where it is none.

    >>> places("layers.core"), places("src.engine.training.inner"), places("layers.core.inner")
    (['layers'], ['layers', 'models', '.', 'utils'], None)
    """
    found = public_path(path)
    private = found != path
    while found:
        if found in MODULES:
            return MODULES[found].split()
        found = found.rpartition(".")[0] if private else ""
    return None
