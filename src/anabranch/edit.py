"""Edits of a model's graph, to be applied together by ``model.edit(...)``, which returns a new model.

Each function here makes an edit. ``where`` selects layers: a path (``"backbone/conv2d"``, ``"shared@2"`` for one call), a
pattern (``"stage4/*"``), a type (``layers.ReLU``), a layer, a predicate, or a list of these.

>>> from anabranch import Input, Model, edit, layers
>>> x = Input((8,))
>>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
>>> edited = model.edit(edit.replace("act", layers.Activation("gelu")), edit.insert_before("head", layers.Dropout(0.5)))
>>> [layer.name for layer in edited.layers]
['input_layer', 'body', 'act', 'dropout', 'head']
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar, runtime_checkable

from anabranch import _tree, activations, layers
from anabranch._arguments import checked
from anabranch._docstrings import described
from anabranch._errors import ArgumentError, ArgumentTypeError, GraphError
from anabranch.graph import call_site, spec_leaves, subgraph
from anabranch.graph.draft import Built, Draft, Edit, Ref, Replaced, Step
from anabranch.graph.paths import Selector
from anabranch.layers import Layer
from anabranch.layers.configuring import again
from anabranch.layers.low_rank import LowRank
from anabranch.layers.quantizable import Quantizable
from anabranch.quantizers.configs import resolved

P = ParamSpec("P")
K = TypeVar("K", bound=Layer)

# the layers that are an activation and nothing else, by its name
ACTIVATION_LAYERS = {"relu": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "softmax": "Softmax"}


@runtime_checkable
class Activated(Protocol):
    """A layer with an activation, ours or a user's."""

    activation: Callable[..., Any] | None


def _edit(function: Callable[P, Edit]) -> Callable[P, Edit]:
    """Let users call a function that returns an edit: its arguments are checked, those that many have are described here."""
    return checked(_documented(function))


_documented = described(
    {
        "where": "which layers: a path, pattern, type, layer, predicate, or a list of these.",
        "new": "a layer, or a function from a symbolic tensor to one.",
        "input": "the index of the input, where a layer has several.",
    }
)


@_edit
def replace(where: Selector, new: Layer | Callable[[Layer], Layer]) -> Edit:
    """Put another layer in the place of each selected one: ``new``, or ``new(old)`` for a function.

    A name that was given stays. Several places get a layer of the same configuration each.

    Args:
        new: the layer, or a function from the old layer to the new one.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.replace("act", layers.Activation("gelu"))).layers[2]
        <Activation 'act'>
    """
    site = call_site()
    if not callable(new):
        raise ArgumentTypeError("What replaces a layer is a layer, or a function from the old one to one.", got=repr(new)[:120])

    def apply(draft: Draft) -> None:
        for number, found in enumerate(draft.find(where)):
            made = new if not isinstance(new, Layer) or number == 0 else again(new, named=False)
            replacement = Replaced(functools.partial(_replacement, made, found.whole), found.steps[0].operation)
            for step in found.steps:
                step.operation, step.node, step.site = replacement, None, site

    return Edit(f"replace {where!r}", site, apply)


@_edit
def insert_after(where: Selector, new: Layer | Callable[[Any], Any]) -> Edit:
    """Let what each selected layer gives go through ``new`` first: a layer, or a function of symbolic tensors.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> [layer.name for layer in model.edit(edit.insert_after("act", layers.Dropout(0.5))).layers]
        ['input_layer', 'body', 'act', 'dropout', 'head']
    """
    site = call_site()

    def apply(draft: Draft) -> None:
        added: dict[Draft, dict[Step, Ref]] = {}
        for number, found in enumerate(draft.find(where)):
            operation = _inserted(new, number)
            for step in found.steps:
                _check_single(step, found.path)
                made = found.draft.add(Step(operation, (Ref(step),), {}, site, name=_name_of(operation)))
                added.setdefault(found.draft, {})[step] = made
        for here, after in added.items():
            here.redirect(functools.partial(_past, after), but={ref.step for ref in after.values()})

    return Edit(f"insert after {where!r}", site, apply)


@_edit
def insert_before(where: Selector, new: Layer | Callable[[Any], Any], input: int | None = None) -> Edit:
    """Let what goes into each selected layer go through ``new`` first; ``input`` says which, where there are several.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> [layer.name for layer in model.edit(edit.insert_before("act", layers.BatchNormalization())).layers]
        ['input_layer', 'body', 'batch_normalization', 'act', 'head']
    """
    site = call_site()

    def apply(draft: Draft) -> None:
        for number, found in enumerate(draft.find(where)):
            operation = _inserted(new, number)
            for step in found.steps:
                there = _input(step, input, found.path)
                added = found.draft.add(Step(operation, (there,), {}, site, name=_name_of(operation)))
                step.swap(_this(there, added))

    return Edit(f"insert before {where!r}", site, apply)


@_edit
def remove(where: Selector) -> Edit:
    """Take the selected layers out: what they took goes on to those that took what they gave.

    A join can go where all its inputs come from one tensor once the others are gone, as when a whole residual stage is removed.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> [layer.name for layer in model.edit(edit.remove("act")).layers]
        ['input_layer', 'body', 'head']
    """

    def apply(draft: Draft) -> None:
        by_draft: dict[Draft, set[Step]] = {}
        for found in draft.find(where):
            by_draft.setdefault(found.draft, set()).update(found.steps)
        for here, gone in by_draft.items():
            _bypass(here, gone)

    return Edit(f"remove {where!r}", call_site(), apply)


@_edit
def rewire(where: Selector, source: str, input: int | None = None) -> Edit:
    """Let the selected layers take the tensor at ``source`` instead; ``input`` says which, where they have several.

    Args:
        source: the path of the tensor that they take.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> print(model.diff(model.edit(edit.rewire("head", "body"))))
        - act   ReLU (None, 4)
        ~ head  inputs: act -> body
        2 layers are the same.
    """

    def apply(draft: Draft) -> None:
        for found in draft.find(where):
            for step in found.steps:
                step.swap(_this(_input(step, input, found.path), found.draft.ref(source)))

    return Edit(f"rewire {where!r} to {source!r}", call_site(), apply)


@_edit
def wrap(where: Selector, function: Callable[..., Any]) -> Edit:
    """Put ``function(layer, *inputs)`` in the place of each call, e.g. ``lambda layer, x: x + layer(x)``.

    Args:
        function: takes the layer and the tensors that it is called on, returns what takes the place of its outputs.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.wrap("act", lambda layer, x: x + layer(x))).output_shape
        (None, 2)
    """
    site = call_site()

    def apply(draft: Draft) -> None:
        for found in draft.find(where):
            old = found.steps[0].operation
            for step in found.steps:
                step.operation, step.node, step.site = Built(function, old), None, site

    return Edit(f"wrap {where!r}", site, apply)


@_edit
def rename(where: Selector, name: str | Callable[[str], str]) -> Edit:
    """Give the selected layers other names: one name for one layer, or a function of the old.

    Args:
        name: the new name, or a function from the old name to it.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.rename("head", "logits")).layers[-1].name
        'logits'
    """

    def apply(draft: Draft) -> None:
        found = draft.find(where)
        if isinstance(name, str) and len(found) > 1:
            raise ArgumentError(f"{name!r} cannot name {len(found)} layers.", repair="lambda old: 'new_' + old")
        for one in found:
            old = one.steps[0]
            new = name if isinstance(name, str) else name(old.name or "")
            for step in one.steps if one.whole else [s for s in one.draft.all_steps() if s.operation is old.operation]:
                step.name = new

    return Edit(f"rename {where!r}", call_site(), apply)


@_edit
def swap_activation(old: Any, new: Any) -> Edit:
    """Put activation ``new`` in the place of ``old`` everywhere: in ``activation=``, Activation, ReLU and the like.

    Args:
        old: the activation to look for, by name or as a function.
        new: the activation that takes its place.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.swap_activation("relu", "gelu")).layers[2]
        <Activation 'act'>
    """
    wanted = activations.get(old)
    kind = getattr(layers, ACTIVATION_LAYERS.get(old, "")) if old in ACTIVATION_LAYERS else None

    def uses(layer: Any) -> bool:
        return (isinstance(layer, Activated) and layer.activation is wanted) or (kind is not None and type(layer) is kind)

    def changed(layer: Layer) -> Layer:
        if not isinstance(layer, Activated):
            return layers.Activation(new)
        layer.activation = activations.get(new)
        return layer

    return replace(uses, changed)._replace(text=f"swap activation {old!r} for {new!r}")


@_edit
def add_output(source: str, function: Callable[[Any], Any] | None = None, name: str | None = None) -> Edit:
    """Give the model a further output: the tensor at ``source``, or ``function`` of it, such as a second head.

    A single output becomes a list of two; a dict of outputs takes it under ``name``.

    Args:
        source: the path of a tensor.
        function: from that tensor to the output; None gives the tensor itself.
        name: the output's key, where outputs are a dict.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.add_output("act")).output_shape
        [(None, 2), (None, 4)]
    """
    site = call_site()

    def apply(draft: Draft) -> None:
        ref = draft.ref(source)
        if function is not None:
            ref = draft.add(Step(_inserted(function, 0), (ref,), {}, site))
        outputs = draft.outputs
        if isinstance(outputs, dict):
            if name is None or name in outputs:
                raise ArgumentError("A dict of outputs takes a further one under a name of its own.", got=f"name={name!r}")
            draft.outputs = {**outputs, name: ref}
        else:
            draft.outputs = type(outputs)([*outputs, ref]) if _tree.is_nest(outputs) else [outputs, ref]

    return Edit(f"add output from {source!r}", site, apply)


@_edit
def set_outputs(outputs: Any) -> Edit:
    """Let the model give the tensors at these paths, in the nest they are written in; what only led elsewhere is dropped.

    Args:
        outputs: a path, or a nest of them.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> model.edit(edit.set_outputs({"features": "act"})).output_shape
        {'features': (None, 4)}
    """

    def apply(draft: Draft) -> None:
        draft.outputs = _tree.map_leaves(draft.ref, outputs)

    return Edit(f"set outputs to {outputs!r}", call_site(), apply)


@_edit
def splice(at: str, model: Any) -> Edit:
    """Let ``model`` take over at the tensor ``at``: its outputs become this model's.

    Args:
        at: the path of a tensor.
        model: what takes it as its input.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.ReLU(name="act")(layers.Dense(4, name="body")(x))))
        >>> y = Input((4,))
        >>> other = Model(y, layers.Dense(3)(y))
        >>> model.edit(edit.splice("act", other)).output_shape
        (None, 3)
    """
    if subgraph(model) is None:
        raise ArgumentTypeError("splice takes a model.", got=f"{type(model).__name__}: {model!r}"[:120])
    site = call_site()

    def apply(draft: Draft) -> None:
        draft.outputs = draft.add(Step(model, (draft.ref(at),), {}, site, name=model.name))

    return Edit(f"splice a model at {at!r}", site, apply)


@_edit
def add_lora(where: Selector, rank: int, lora_alpha: float | None = None) -> Edit:
    """Let the selected layers be trained by LoRA: copies of them whose kernel is frozen, plus a product of two small matrices.

    The model that is edited, and its weights, stay as they are. Hu et al. 2021.

    Args:
        rank: the inner size of the product.
        lora_alpha: the product is multiplied by this divided by ``rank``; None: by 1.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, name="body")(x)))
        >>> adapted = model.edit(edit.add_lora("body", rank=1))
        >>> [weight.path for weight in adapted.trainable_weights]
        ['body/bias', 'body/lora_kernel_a', 'body/lora_kernel_b', 'head/kernel', 'head/bias']
    """

    def adapted(old: Layer) -> Layer:
        twin = _low_rank(old)
        twin.enable_lora(rank, lora_alpha)
        return twin

    return replace(where, adapted)._replace(text=f"add LoRA to {where!r}")


@_edit
def merge_lora(where: Selector = layers.Layer) -> Edit:
    """Add what LoRA adds to the kernels of the selected layers for good, in copies of them; their kernels are trained again.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, lora_rank=1)(x))
        >>> [weight.name for weight in model.edit(edit.merge_lora()).weights]
        ['kernel', 'bias']
    """

    def adapts(layer: Any) -> bool:
        return isinstance(layer, LowRank) and layer.lora_enabled

    def merged(old: Layer) -> Layer:
        if not adapts(old):
            return old
        twin = _low_rank(old)
        twin._merge_lora_()
        return twin

    return replace(adapts if where is layers.Layer else where, merged)._replace(text=f"merge LoRA of {where!r}")


@_edit
def quantize(where: Selector = Quantizable, mode: str | None = None, config: object = None) -> Edit:
    """Hold the matrices of the selected layers as integers, in copies of them; ``model.quantize`` does so in place.

    Args:
        mode: ``"int8"`` or ``"int4"``; None: that of ``config``.
        config: a ``quantizers.QuantizationConfig``; None: the defaults of the mode.

    Example:
        >>> from anabranch import Input, Model, edit, layers
        >>> x = Input((8,))
        >>> model = Model(x, layers.Dense(2, name="head")(layers.Dense(4, name="body")(x)))
        >>> small = model.edit(edit.quantize("body", "int8"))
        >>> [layer.dtype_policy.name for layer in small.layers]
        ['float32', 'int8_from_float32', 'float32']
    """
    asked = resolved(mode, config)

    def quantized(old: Layer) -> Layer:
        twin = _copied(old, Quantizable, "nothing to quantize")
        twin.quantize(config=asked)
        return twin

    return replace(where, quantized)._replace(text=f"quantize {where!r}")


def _low_rank(layer: Layer) -> LowRank:
    return _copied(layer, LowRank, "no LoRA")


def _copied(layer: Layer, kind: type[K], lack: str) -> K:
    """Return a copy, with weights of its own, of a layer that is to be of a kind."""
    if not isinstance(layer, kind):
        public = (getattr(layers, name) for name in dir(layers))
        names = dict.fromkeys(each.__name__ for each in public if isinstance(each, type) and issubclass(each, kind))
        raise ArgumentError(f"{layer._error_label_()} has {lack}.", expected=", ".join(names), repair="another selector")
    return copy.deepcopy(layer)


def _replacement(new: Any, whole: bool, old: Any) -> Any:
    """Return what replaces ``old``; a name that a user gave goes over to it, unless calls of ``old`` remain."""
    made = new if isinstance(new, Layer) else new(old)
    if whole and isinstance(made, Layer) and made is not old and made._explicit_name_ is None and old._named_:
        made._explicit_name_ = old._explicit_name_
    return made


def _inserted(new: Any, number: int) -> Any:
    if isinstance(new, Layer):
        return new if number == 0 else again(new, named=False)
    if callable(new):
        return Built(new)
    raise ArgumentTypeError("What is inserted is a layer or a function of tensors.", got=f"{type(new).__name__}: {new!r}"[:120])


def _name_of(operation: Any) -> str | None:
    return operation._explicit_name_ if isinstance(operation, Layer) else None


def _past(after: dict[Step, Ref], ref: Ref) -> Ref:
    """Return what comes after a tensor now, itself if nothing does."""
    return after.get(ref.step, ref) if ref.index == 0 else ref


def _this(before: Ref, after: Ref) -> Callable[[Ref], Ref]:
    """Return the change of one argument for another."""
    return lambda ref: after if ref is before else ref


def _check_single(step: Step, path: str) -> None:
    count = 1 if step.node is None else len(spec_leaves(step.node.output_specs))
    if count > 1:
        raise GraphError(
            f"{path!r} gives {count} tensors, so what comes after it is ambiguous.", repair="edit.wrap takes them all"
        )


def _input(step: Step, which: int | None, path: str) -> Ref:
    sources = step.sources()
    if not sources:
        raise ArgumentError(f"{path!r} is an Input: nothing goes into it.")
    if which is None and len(sources) > 1:
        raise ArgumentError(
            f"{path!r} takes {len(sources)} tensors, so which one is meant is ambiguous.",
            expected=", ".join(f"input={i} (from {ref.step.name})" for i, ref in enumerate(sources)),
        )
    if which is not None and not 0 <= which < len(sources):
        raise ArgumentError(f"{path!r} has no input {which}.", expected=f"0 to {len(sources) - 1}")
    return sources[which or 0]


def _bypass(draft: Draft, gone: set[Step]) -> None:
    through: dict[Step, Ref] = {}

    def past(ref: Ref) -> Ref:
        return through.get(ref.step, ref)

    for step in draft.order():
        if step not in gone:
            continue
        sources = {(ref.step, ref.index): ref for ref in map(past, step.sources())}
        if len(sources) != 1:
            raise GraphError(
                f"{step.name!r} cannot be removed: it has {len(sources) or 'no'} inputs to go on with.",
                got=", ".join(str(ref.step.name) for ref in sources.values()) or "an Input",
                repair="edit.rewire its consumers to the tensor that shall take its place",
            )
        (through[step],) = sources.values()
    draft.redirect(past)


__all__ = [
    "Edit", "add_output", "insert_after", "insert_before", "remove", "rename", "replace", "rewire", "set_outputs", "splice",
    "swap_activation", "wrap",
]  # fmt: skip
__dir__ = __all__.copy
