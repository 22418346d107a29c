"""Some steps of training: optimizers × schedules × losses × metrics × policies, with the same weights and data."""

from __future__ import annotations

import inspect
import re
from random import Random
from typing import Any

import keras
from fuzz import values
from fuzz.beside import Pair, play
from other_values import FOR, OTHERS, With

import anabranch

POLICIES = ("float32", "float32", "float32", "float32", "mixed_bfloat16", "float64", "bfloat16", "mixed_float16")
NEEDED = {
    "SensitivityAtSpecificity": {"specificity": "0.5"}, "SpecificityAtSensitivity": {"sensitivity": "0.5"},
    "PrecisionAtRecall": {"recall": "0.5"}, "RecallAtPrecision": {"precision": "0.5"},
    "CosineDecay": {"initial_learning_rate": "0.1", "decay_steps": "5"},
    "CosineDecayRestarts": {"initial_learning_rate": "0.1", "first_decay_steps": "3"},
    "ExponentialDecay": {"initial_learning_rate": "0.1", "decay_steps": "4", "decay_rate": "0.5"},
    "InverseTimeDecay": {"initial_learning_rate": "0.1", "decay_steps": "4", "decay_rate": "0.5"},
    "PolynomialDecay": {"initial_learning_rate": "0.1", "decay_steps": "5"},
    "PiecewiseConstantDecay": {"boundaries": "[2, 5]", "values": "[0.1, 0.05, 0.01]"},
}  # fmt: skip
"""What the constructors of some classes need."""
SKIPPED = {"name", "dtype", "fn", "learning_rate", "inner_optimizer", "num_labels", "label_weights", "multi_label", "class_id"}
SKIPPED |= {"muon_a", "muon_b", "muon_c"}  # of an iteration that makes much of rounding with others


def names(room: str, base: str, left_out: tuple[str, ...] = ()) -> list[str]:
    """Return the classes of a package of both libraries, without the base and those that wrap functions."""
    ours, theirs = (_room(library, room) for library in (anabranch, keras))
    kind = getattr(ours, base)
    left_out = (*left_out, base, "LossFunctionWrapper", "MeanMetricWrapper")
    found = [
        name for name in dir(ours) if name not in left_out and isinstance(getattr(ours, name), type) and hasattr(theirs, name)
    ]
    return [name for name in found if issubclass(getattr(ours, name), kind)]


def _room(library: Any, room: str) -> Any:
    for part in room.split("."):
        library = getattr(library, part)
    return library


LOSSES = names("losses", "Loss")
METRICS = names("metrics", "Metric", ("Mean", "Sum"))
HOLDING = ("LossScaleOptimizer", "MultiOptimizer")
OPTIMIZERS = names("optimizers", "Optimizer", (*HOLDING, "ScheduleFreeAdamW"))  # where Keras on torch is wrong
SCHEDULES = names("optimizers.schedules", "LearningRateSchedule")


def made(rng: Random, room: str, kind_name: str, changed: float = 0.3, **more: str) -> str:
    """Return code that makes an object of a class with some of its settings drawn."""
    kind = getattr(_room(anabranch, room), kind_name)
    taken = inspect.signature(getattr(_room(keras, room), kind_name)).parameters
    config = {**NEEDED.get(kind_name, {}), **more}
    for setting, field in kind._fields_.items():
        if rng.random() > changed or setting in SKIPPED or setting not in taken or setting in more:
            continue
        others = FOR.get((kind_name, setting), OTHERS.get(setting, ()))
        other = rng.choice(others) if others and setting not in values.CODES and rng.random() < 0.7 else None
        if isinstance(other, With) and values.is_plain(other.value) and values.is_plain(other.others):
            config |= {key: repr(value) for key, value in {setting: other.value, **other.others}.items()}
        elif other is not None and values.is_plain(other):
            config[setting] = repr(other)
        else:
            text = values.setting(rng, field, kind, None, ())
            config |= {} if text is None else {setting: text}
    return f"keras.{room}.{kind_name}({', '.join(f'{key}={text}' for key, text in config.items())})"


LEFT_OVER = re.compile("(True|False)(Positives|Negatives)")
"""Metrics whose values of an epoch Keras on torch overwrites when it validates."""
CURVES = re.compile("AUC|At(Sensitivity|Specificity|Precision|Recall)")
"""Metrics over thresholds from 0 to 1; what is beyond them Keras leaves out of the counts."""
COUNTING = re.compile("Positives|Negatives|Precision|Recall|Sensitivity|Specificity|AUC|Score|Accuracy|Hinge|entropy|IoU")
MODELS = (  # the inputs' shape, and the layers between them and the last
    ("(4,)", ["Dense(6, activation='tanh')"]),
    ("(4,)", ["Dense(5, use_bias=False)", "BatchNormalization()", "Activation('relu')"]),
    ("(6, 6, 2)", ["Conv2D(3, 3, padding='same')", "LayerNormalization()", "Activation('gelu')", "GlobalAveragePooling2D()"]),
    ("(5, 3)", ["Dense(4, kernel_regularizer='l2', kernel_constraint='non_neg')", "LeakyReLU()", "Flatten()"]),
    ("(5,)", ["Embedding(9, 3, mask_zero=True)", "GlobalAveragePooling1D()"]),
    ("(5,)", ["Embedding(9, 3)", "Flatten()"]),
)


def case(seed: int, only: str = "") -> Pair:
    """Run the case of a seed.

    Args:
        seed: of the draws.
        only: a pattern; losses whose names it is not found in are not drawn.
    """
    rng = Random(seed)
    shape, between = rng.choice(MODELS)
    loss, policy = rng.choice([each for each in LOSSES if re.search(only, each)]), rng.choice(POLICIES)
    sparse, labels = (
        "Sparse" in loss,
        any(word in loss for word in ("Sparse", "Categorical", "Binary", "KL", "Dice", "Tversky")),
    )
    last = "1" if loss.startswith("Binary") and rng.random() < 0.5 else "3"
    activation = rng.choice(("'softmax'", "'sigmoid'") if labels or "Poisson" in loss else ("None", "'sigmoid'", "'softplus'"))
    count, batch = rng.choice((8, 10, 12)), rng.choice((4, 5))
    dtype, low, high = ("int32", 0, 9) if "Embedding" in between[0] else ("float32", -1.5, 1.5)
    rate = rng.choice(("0.1", "0.01", "0.5"))
    if rng.random() < 0.4:
        rate = made(rng, "optimizers.schedules", rng.choice(SCHEDULES))
        rate = re.sub(r"(initial_learning_rate=\d+)([,)])", r"\1.0\2", rate)  # with an integer, Keras computes in integers
    optimizer = made(rng, "optimizers", rng.choice(OPTIMIZERS), 0.2, learning_rate=rate)
    if policy == "bfloat16":  # in which 0.999 is 1, and a step of Adam's that Keras takes is 0
        optimizer = re.sub(r"((?:Adam|Nadam|Lamb)\w*[(])", r"\1beta_2=0.5, ", re.sub(r"\bbeta_2=[^,)]*,? ?", "", optimizer))
        optimizer = re.sub(r"Muon[(]", "Muon(adam_beta_2=0.5, ", re.sub(r"adam_beta_2=[^,)]*,? ?", "", optimizer))
    if policy == "mixed_float16" and rng.random() < 0.5:
        optimizer = f"keras.optimizers.LossScaleOptimizer({optimizer}, initial_scale=8.0)"
    drawn = f"draw({rng.randrange(1000)}, {dtype!r}, ({count}, {shape[1:]}, {low}, {high}).numpy()"
    if sparse:
        target = f"draw({rng.randrange(1000)}, 'int32', ({count},), 0, {last}).numpy()"
    elif "Binary" in loss or "Hinge" in loss or "Focal" in loss:
        target = f"draw({rng.randrange(1000)}, 'bool', ({count}, {last})).numpy().astype('float32')"
    elif labels:
        target = f"np.eye(3, dtype='float32')[draw({rng.randrange(1000)}, 'int32', ({count},), 0, 3).numpy()]"
    else:
        target = f"draw({rng.randrange(1000)}, 'float32', ({count}, {last}), 0.05, 1.5).numpy()"
    counts = labels or "Binary" in loss or "Hinge" in loss or "Focal" in loss  # of labels; Keras cuts others to integers
    known = METRICS if counts else [name for name in METRICS if not COUNTING.search(name)]
    if activation not in ("'softmax'", "'sigmoid'"):
        known = [name for name in known if not CURVES.search(name)]
    metrics = [made(rng, "metrics", rng.choice(known), 0.2, name=repr(f"m{n}")) for n in range(rng.choice((0, 1, 2)))]
    if sparse:
        metrics = ["'accuracy'", "keras.metrics.SparseTopKCategoricalAccuracy(k=2, name='top')"][: len(metrics)]
    weighted = ", weighted_metrics=[keras.metrics.MeanSquaredError(name='w')]" if not sparse and rng.random() < 0.2 else ""
    more = rng.choice(("", "", f", sample_weight=draw(3, 'float32', ({count},), 0.0, 2.0).numpy()", ", validation_split=0.25"))
    if LEFT_OVER.search("".join(metrics)):
        more = more.replace(", validation_split=0.25", "")
    if sparse and rng.random() < 0.2:
        more = ", class_weight={0: 1.0, 1: 2.0, 2: 0.5}"
    half = "16" in policy  # two steps of Adam's make much of what rounding makes small: one is compared
    batch, epochs = (count, 1) if half else (batch, 2)
    lines = [
        f"keras.config.set_dtype_policy({policy!r})",
        f"i = keras.Input({shape}, dtype={dtype!r})",
        "h = i",
        *(f"h = keras.layers.{each}(h)" for each in between),
        f"h = keras.layers.Dense({last}, activation={activation})(h)",
        "m = keras.Model(i, h)",
        f"fill(m, {rng.randrange(100)})",
        f"x = {drawn}",
        f"y = {target}",
        f"m.compile({optimizer}, {made(rng, 'losses', loss)}, metrics=[{', '.join(metrics)}]{weighted})",
        f"h = m.fit(x, y, batch_size={batch}, epochs={epochs}, shuffle=False, verbose=0{more}).history",
        "#: same h",
        "assert np.isfinite(h['loss']).all()",  # what NaN makes of weights is for the kernels to say
        "w = [weight.numpy() for weight in m.weights]",
        "#: same w",
        "p = m.predict(x, batch_size=4, verbose=0)",
        "#: same p",
        "e = m.evaluate(x, y, batch_size=3, verbose=0, return_dict=True)",
        "#: same e",
    ]
    lines = lines[: lines.index("#: same h") + 1] if half else lines
    return play(f"training with {loss}", lines, {"float32": 20.0, "float64": 500.0}.get(policy, 1000.0), lambda line: True)
