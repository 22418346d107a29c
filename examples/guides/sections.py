"""What the guides share: a program in sections, each a function that yields what it shows.

A section is a generator. It yields dicts of name to

- ``(model, inputs)``: a model and numbers that it runs on;
- ``model``: a model, or a layer, alone;
- anything else: a result, such as numbers, losses, or a text.

Models are yielded before they are trained or asked for numbers, so that a reader of the guide may set their weights.
"""

import numpy as np


def section(title, chance=False):
    """Mark a function as the guide's section of that title; ``chance`` says that its training is not the same twice."""

    def mark(function):
        function.section_title, function.chance = title, chance
        return function

    return mark


def sections_of(guide):
    """Return the section functions among a module's names, in the order they were written."""
    return [value for value in guide.values() if hasattr(value, "section_title")]


def main(guide):
    """Run every section and print what it shows: a table and outputs for models, results as they are."""
    for function in sections_of(guide):
        print(f"\n== {function.section_title} ==\n{function.__doc__.strip()}")
        for shown in function():
            for name, value in shown.items():
                show(name, value)


def show(name, value):
    """Print one thing that a section shows; a model runs first, since some have no shapes before."""
    model, inputs = value if isinstance(value, tuple) and hasattr(value[0], "weights") else (value, None)
    outputs = None if inputs is None else model(inputs, training=False)
    if hasattr(model, "summary"):
        print(f"-- {name}")
        model.summary()
    elif hasattr(model, "weights"):
        print(f"-- {name}: {type(model).__name__} with {len(model.weights)} weights")
    else:
        print(f"-- {name}: {described(value)}")
    if inputs is not None:
        print(f"-- {name} gives {described(outputs)}")


def described(value):
    """Return a value as text, large arrays by their shape."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {described(item)}" for key, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(described, value)) + "]"
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}" if value.size > 8 else np.array2string(value, precision=4, separator=", ")
    return f"{value:.4f}" if isinstance(value, float) else str(value)


# What the guides run on: small, and the same at every call.


def numbers(*shape, seed=0):
    """Return an array of that shape with values in [0, 1)."""
    return np.random.default_rng(seed).random(shape).astype("float32")


def labels(count, kinds, seed=0):
    """Return ``count`` class indices below ``kinds``."""
    return np.random.default_rng(seed).integers(0, kinds, count)
