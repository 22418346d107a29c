"""A model's graph as JSON, in Keras's own form, and back: layers with what they were called on, by name and number of call."""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from anabranch import _tree, ops, registry, runtime
from anabranch._asked import is_from, name_of
from anabranch._carrying import carried, is_carried
from anabranch._errors import AnabranchError, ArgumentError, ArgumentTypeError
from anabranch.graph import Function, Graph, Node, Operation, Operator, Tensor, Weight, map_specs
from anabranch.graph.graph import tensors_by_key
from anabranch.graph.names import free_name
from anabranch.graph.operators import OPERATORS
from anabranch.graph.records import NamedFunction
from anabranch.layers.base import Layer
from anabranch.layers.torch_module import TorchFunction
from anabranch.registry import Json

History = tuple[str, int, int]  # an operation's name, which call of it, which output
FirstCall = Callable[[Layer], int]
TORCH = "anabranch.torch"  # the module of torch's functions in our files; their names are the classes' there
_CONSTANT = "__torch__"  # a dtype of torch's among the arguments of its functions
GRAPH_KEYS = ("layers", "input_layers", "output_layers")

# Writing


def written(graph: Graph, first_call: FirstCall) -> dict[str, Json]:
    """Return a graph as JSON.

    Args:
        graph: the graph.
        first_call: returns the number of a layer's first call among ``output_layers``: in Keras 1 for functional models.

    Raises:
        ArgumentTypeError: an operation cannot become JSON, such as one of torch's functions or a lambda; it says which.
    """
    return _Writer(graph, first_call).written()


class _Writer:
    """Writes one graph."""

    def __init__(self, graph: Graph, first_call: FirstCall) -> None:
        self.graph = graph
        self.first_call = first_call
        self.histories: dict[tuple[Node, int], History] = {}
        self.cut: list[tuple[str, Tensor]] = []  # inputs that are no Input: each becomes one
        taken = set(graph.names.values())
        for tensor in graph.inputs:
            if not tensor.node.operation._is_source_:
                name = free_name(tensor.name, taken)
                taken.add(name)
                self.cut.append((name, tensor))
                self.histories[tensor.key] = name, 0, 0

    def written(self) -> dict[str, Json]:
        entries = [{**input_entry(tensor, name), "name": name, "inbound_nodes": []} for name, tensor in self.cut]
        entries += [self.entry(operation) for operation in self.graph.operations if self.graph.calls_of(operation)]
        return {
            "layers": entries,
            "input_layers": self.ends(self.graph.input_structure),
            "output_layers": self.ends(self.graph.output_structure),
        }

    def history(self, tensor: Tensor) -> list[str | int]:
        """Return how the config names a tensor among the arguments of a call."""
        if tensor.key in self.histories:
            return list(self.histories[tensor.key])
        return [self.graph.names[tensor.node.operation], self.graph.call_index(tensor.node), _keras_index(tensor)]

    def ends(self, structure: _tree.Nest) -> Json:
        """Return how the config names the tensors that go in or come out; there Keras counts its models' calls from 1."""

        def end(tensor: Tensor) -> list[str | int]:
            name, call, index = self.history(tensor)
            operation = tensor.node.operation
            first = self.first_call(operation) if isinstance(operation, Layer) and tensor.key not in self.histories else 0
            return [name, int(call) + first, index]

        return _tree.map_leaves(end, structure)

    def entry(self, operation: Operation) -> dict[str, Json]:
        """Return what is written of one operation and its calls."""
        name = self.graph.names[operation]
        calls = [node for node in self.graph.calls_of(operation) if node.inputs]
        try:
            if isinstance(operation, Layer) and not operation._is_function_:
                described = registry.serialize(operation)
                described["config"]["name"] = name  # which may have another name in another model
                return {**described, "name": name, "inbound_nodes": [self.call(node, node.args, node.kwargs) for node in calls]}
            (node,) = calls
            described, args, kwargs = _function(operation, node)
            described["config"] = {"name": name, **self.arguments(described["config"])}
            return {**described, "name": name, "inbound_nodes": [self.call(node, args, kwargs)]}
        except AnabranchError as error:
            site = calls[0].site if calls else operation._made_at_
            raise error.at(f"{operation._error_label_()}, called at {site}") from error.__cause__

    def call(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Json]:
        chosen = {"chosen": ["training"]} if kwargs.get("training") is not None else {}
        return {"args": self.arguments(list(args)), "kwargs": self.arguments(kwargs), **chosen}

    def arguments(self, nest: object) -> Json:
        """Return the arguments of a call as JSON; tuples are lists there, as in Keras."""
        if isinstance(nest, Tensor):
            config = {"shape": list(nest.shape), "dtype": nest.dtype, "keras_history": self.history(nest)}
            return {"class_name": "__keras_tensor__", "config": config}
        if isinstance(nest, (list, tuple)):
            return [self.arguments(part) for part in nest]
        if isinstance(nest, Mapping):
            return {key: self.arguments(part) for key, part in nest.items()}
        if isinstance(nest, Weight):
            beside = carried(nest.value)
            if beside is not None:
                return beside
            raise ArgumentTypeError(
                f"The weight {nest.path!r} is an argument of a call, which has no JSON.",
                repair="a layer of your own, whose call reads the weight",
            )
        if is_from(type(nest), "torch") and (constant := runtime.name_of_constant(nest)):
            return {"class_name": _CONSTANT, "config": {"value": constant}}
        return registry.serialize(nest)


def _keras_index(tensor: Tensor) -> int:
    """Return which output of its call a tensor is, as Keras counts them: those of a dict by sorted keys."""
    specs, counter = tensor.node.output_specs, itertools.count()
    return _tree.leaves_by_key(map_specs(lambda spec: next(counter), specs)).index(tensor.index)


def input_entry(tensor: Tensor, name: str) -> dict[str, Json]:
    """Return what is written of an Input, for one or for a tensor that a model begins at."""
    config = {"batch_shape": list(tensor.shape), "dtype": tensor.dtype, "sparse": False, "ragged": False, "name": name}
    return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}


# Functions and operators: Keras writes each as a class, whose constructor has what is no operand

_OPERANDS = frozenset((
    "a", "array", "b", "bias", "constant_values", "data", "depthwise_kernel", "elements", "fill_value", "indices", "inputs",
    "kernel", "key", "mask", "operands", "output", "pointwise_kernel", "predictions", "q", "query", "reference",
    "segment_ids", "sequences", "start", "start_indices", "step", "stop", "target", "targets", "updates", "value", "values",
    "x", "x1", "x2", "xs", "y", "condition", "images", "weights", "image1", "image2", "volumes", "transform", "coordinates",
    "start_points", "end_points",
))  # fmt: skip
_NO_OPERANDS = {"squareplus": {"b"}, "trapezoid": {"x"}, "bincount": {"weights"}}
_FURTHER_OPERANDS = {
    "scale_and_translate": {"output_shape", "scale", "translation"}, "layer_normalization": {"gamma", "beta"},
    "batch_normalization": {"mean", "variance", "offset", "scale"}, "rms_normalization": {"scale"},
}  # fmt: skip
_IRREGULAR = {
    "allclose": "AllClose", "cdist": "CDist", "fft": "FFT", "fft2": "FFT2", "hard_swish": "HardSilu", "ifft2": "IFFT2",
    "irfft": "IRFFT", "isin": "IsIn", "istft": "ISTFT", "psnr": "PSNR", "rfft": "RFFT", "searchsorted": "SearchSorted",
    "stft": "STFT", "svd": "SVD", "swish": "Silu", "hsv_to_rgb": "HSVToRGB", "rgb_to_hsv": "RGBToHSV",
    "rgb_to_grayscale": "RGBToGrayscale", "ssim": "SSIM", "ctc_loss": "CTCLoss", "ctc_decode": "CTCDecode",
    "batch_normalization": "BatchNorm", "layer_normalization": "LayerNorm", "rms_normalization": "RMSNorm", "jvp": "JVP",
}  # fmt: skip
_MATH = frozenset((
    "cdist", "erf", "erfc", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft", "istft", "logdet",
    "logsumexp", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod", "segment_sum", "stft", "top_k",
    "view_as_complex", "view_as_real",
))  # fmt: skip


def _function(operation: Operation, node: Node) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]:
    """Return how Keras writes a function of tensors: its class, with what is no operand as the config; and the operands."""
    if isinstance(operation, Operator):
        return _described("numpy", operation.name, {}), node.args, node.kwargs
    if not isinstance(operation, Function) or not _is_ours(operation.function):
        beside = carried(operation.function) if isinstance(operation, (NamedFunction, TorchFunction)) else None
        if beside is not None:
            return {"module": "keras.ops", "class_name": beside, "config": {}, "registered_name": None}, node.args, node.kwargs
        known = runtime.name_of_torch(operation.function) if isinstance(operation, Function) else None
        if known is not None:
            return {"module": TORCH, "class_name": known, "config": {}, "registered_name": None}, node.args, node.kwargs
        raise ArgumentTypeError(
            f"{operation._error_label_()} has no JSON: it is no layer, no function of anabranch.ops, and none of torch's that "
            "files may name.",
            repair="write it with functions of anabranch.ops, or as a layer of your own with get_config",
        )
    name = operation.function.__name__
    import inspect  # which takes a while to load

    bound = inspect.signature(operation.function).bind(*node.args, **node.kwargs)
    operands: list[Any] = []
    named: dict[str, Any] = {}
    config: dict[str, Any] = {}
    further = _FURTHER_OPERANDS.get(name, set())  # which Keras's classes ask for even where they are None
    for parameter in bound.signature.parameters.values():
        if parameter.name not in bound.arguments and parameter.name not in further:
            continue
        value = bound.arguments.get(parameter.name, parameter.default)
        symbolic = any(isinstance(leaf, Tensor) for leaf in _tree.leaves(value))
        if parameter.kind is parameter.VAR_POSITIONAL:
            operands.extend(value)
        elif symbolic or parameter.name in (_OPERANDS | further) - _NO_OPERANDS.get(name, set()):
            if config:
                named[parameter.name] = value
            else:
                operands.append(value)
        else:
            config[parameter.name] = value
    return _described(keras_module(name), name, config), tuple(operands), named


def _described(module: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
    kind = keras_class(name)
    return {"module": f"keras.src.ops.{module}", "class_name": kind, "config": config, "registered_name": kind}


def keras_class(name: str) -> str:
    """Return the class by which Keras writes a function.

    >>> keras_class("log_softmax")
    'LogSoftmax'
    """
    return _IRREGULAR.get(name) or "".join(part.capitalize() for part in name.split("_"))


def keras_module(name: str) -> str:
    """Return the module of ``keras.src.ops`` in which a function's class is."""
    if name in _MATH:
        return "math"
    spaces = {"nn": ops.nn, "numpy": ops.numpy, "linalg": ops.linalg, "image": ops.image}
    return next((module for module, space in spaces.items() if name in dir(space)), "core")


def _named(name: str | None) -> Callable[..., Any] | None:
    """Return the function of a name in ``ops``, or in ``ops.image``, which alone has those of images."""
    space = next((space for space in (ops, ops.image) if name in dir(space)), None)
    found: Callable[..., Any] | None = None if space is None or name is None else getattr(space, name)
    return found


def _is_ours(function: Callable[..., Any]) -> bool:
    name = name_of(function)  # any callable may be in a graph
    return name is not None and _named(name) is function


def _function_of(kind: str) -> Callable[..., Any]:
    """Return the function or operator that Keras writes as a class of that name."""
    wanted = kind.lower()
    if wanted == "getitem":
        return _item
    for function, (name, _) in OPERATORS.items():
        if name.replace("_", "") == wanted:
            return function
    found = _named(next((name for name in (*dir(ops), *dir(ops.image)) if keras_class(name).lower() == wanted), None))
    if found is None:
        raise ArgumentError(f"The function that Keras writes as {kind!r} is not known.", expected="a function of anabranch.ops")
    return found


class Indexable(Protocol):
    """What ``x[key]`` can be asked of."""

    def __getitem__(self, key: Any, /) -> object: ...


def _item(x: Indexable, key: object) -> object:
    return x[tuple(key) if isinstance(key, list) else key]


def _torch_function(name: str) -> Callable[..., Any]:
    """Return one of torch's functions that files may name, which is called on symbolic tensors alone."""
    function = runtime.torch_by_name(name)
    if function is None:
        raise ArgumentError(
            f"The function {name!r} of torch is not one that files may name here.",
            expected="a public function of torch that takes tensors, gives tensors, and changes none",
            repair="make the model from its code, then model.load_weights(…)",
        )

    def called(*args: Any, **kwargs: Any) -> _tree.Nest:
        if kwargs.get("out") is not None or not any(isinstance(leaf, Tensor) for leaf in _tree.leaves([list(args), kwargs])):
            raise ArgumentError(f"The call of {name} in this config is none on tensors of the model.")
        args, kwargs = runtime.as_tensors(list(args)), runtime.as_tensors(kwargs)
        return function(*args, **kwargs)

    return called


def _called(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> _tree.Nest:
    """Call a function with operands in their order and its other arguments by name."""
    if function is _item or isinstance(function, types.BuiltinFunctionType):
        return function(*args, **kwargs)
    import inspect

    waiting, positional = iter(args), list[Any]()
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional.extend(waiting)
        elif parameter.name in kwargs:
            positional.append(kwargs.pop(parameter.name))
        else:
            try:
                positional.append(next(waiting))
            except StopIteration:
                break
    return function(*positional, **kwargs)


# Reading


def read(config: Mapping[str, Json], first_call: FirstCall) -> tuple[_tree.Nest, _tree.Nest]:
    """Return inputs and outputs of a graph of new layers, from what ``written`` returned."""
    return _Reader(config["layers"], first_call).ends(config)


class _Reader:
    """Makes the layers of a config, and each call once its arguments are made."""

    def __init__(self, entries: list[Json], first_call: FirstCall) -> None:
        self.first_call = first_call
        self.entries = {str(entry["name"]): entry for entry in entries}
        self.made = {name: _operation(entry) for name, entry in self.entries.items()}
        self.results: dict[tuple[str, int], list[Tensor]] = {}

    def ends(self, config: Mapping[str, Json]) -> tuple[_tree.Nest, _tree.Nest]:
        wanted = [self.end(leaf) for key in GRAPH_KEYS[1:] for leaf in _histories(config[key])]
        self.run([(name, call) for name, call, _ in wanted])
        inputs, outputs = (self.tensors(config[key]) for key in GRAPH_KEYS[1:])
        return inputs, outputs

    def tensors(self, nest: Json) -> _tree.Nest:
        if _is_history(nest):
            return self.tensor(self.end(nest))
        if isinstance(nest, Mapping):
            return {key: self.tensors(part) for key, part in nest.items()}
        return [self.tensors(part) for part in nest]

    def end(self, data: Json) -> History:
        """Return which tensor an entry of ``input_layers`` or ``output_layers`` names, calls counted from 0."""
        name, call, index = _history(data)
        made = self.made.get(name)
        return name, call - (self.first_call(made) if isinstance(made, Layer) else 0), index

    def tensor(self, history: History) -> Tensor:
        name, call, index = history
        return self.results[name, call][index]

    def run(self, wanted: list[tuple[str, int]]) -> None:
        """Make these calls, and before them those that they need."""
        stack = list(reversed(wanted))
        opened: set[tuple[str, int]] = set()
        while stack:
            key = stack[-1]
            if key in self.results:
                stack.pop()
                continue
            node = self.node(*key)
            missing = [each[:2] for each in _needed(node) if each[:2] not in self.results]
            if not missing:
                self.results[key] = self.call(key[0], node)
                stack.pop()
            elif key in opened:
                raise ArgumentError(f"The calls in this config need each other: {key[0]!r} is among them.")
            else:
                opened.add(key)
                stack.extend(missing)

    def node(self, name: str, call: int) -> Json:
        """Return what the config says of one call; None for an Input."""
        if name not in self.entries:
            raise ArgumentError(f"The config has no layer {name!r}, of which a call is needed.", got=", ".join(self.entries))
        nodes = self.entries[name]["inbound_nodes"]
        made = self.made[name]
        if isinstance(made, Layer) and made._is_source_:
            return None
        if not 0 <= call < len(nodes):
            raise ArgumentError(f"The config has no call {call} of {name!r}.", got=f"{len(nodes)} calls")
        return nodes[call]

    def call(self, name: str, node: Json) -> list[Tensor]:
        made = self.made[name]
        if node is None and isinstance(made, Layer):
            return tensors_by_key(made.output)
        args, kwargs = self.filled(node["args"]), self.filled(node["kwargs"])
        if isinstance(made, Layer):
            if "training" not in node.get("chosen", ()):  # Keras notes a default here, by which it does not go
                kwargs.pop("training", None)
            return tensors_by_key(made(*args, **{key: value for key, value in kwargs.items() if _is_given(value)}))
        if next(_needed([node["args"], node["kwargs"]]), None) is None:  # it would be computed here and now
            raise ArgumentError(f"The call of {name!r} in this config takes no tensor of the graph.")
        config = {key: self.filled(value) for key, value in self.entries[name]["config"].items() if key != "name"}
        entry = self.entries[name]
        if is_carried(entry["class_name"]) or entry.get("module") == TORCH:
            results = tensors_by_key(made(*args, **kwargs))
        else:
            results = tensors_by_key(_called(made, args, {**config, **kwargs}))
        results[0].node.operation._explicit_name_ = name
        return results

    def filled(self, data: Json) -> _tree.Nest:
        """Return arguments from JSON, with the tensors that it names."""
        if isinstance(data, list):
            return [self.filled(part) for part in data]
        if not isinstance(data, Mapping):
            return data
        if data.get("class_name") == "__keras_tensor__":
            return self.tensor(_history(data["config"]["keras_history"]))
        if data.get("class_name") == _CONSTANT:
            return runtime.constant_by_name(str(data["config"]["value"]))
        if "class_name" in data and "config" in data:
            return registry.deserialize(data)
        return {key: self.filled(part) for key, part in data.items()}


def _is_given(value: _tree.Nest) -> bool:
    """Return whether there is anything in an argument: Keras writes the masks that there are not as nests of None."""
    leaves = _tree.leaves(value)
    return not leaves or any(leaf is not None for leaf in leaves)


def _operation(entry: Json) -> Layer | Callable[..., Any]:
    """Return the layer that an entry describes, or the function that is called in its place."""
    if is_carried(entry["class_name"]):
        function: Callable[..., Any] = registry.deserialize(entry["class_name"])
        return function
    if entry.get("module") == TORCH:
        return _torch_function(str(entry["class_name"]))
    if str(entry.get("module")).startswith(("keras.src.ops", "keras.ops")):
        return _function_of(entry["class_name"])
    return layer_from(entry)


def layer_from(entry: Json) -> Layer:
    """Return the layer that an entry describes, without what only Keras's own layers have and leave unset."""
    config = {key: value for key, value in entry["config"].items() if key != "quantization_config" or value is not None}
    layer: Layer = registry.deserialize({**entry, "config": config})
    return layer


def _needed(data: Json) -> Iterator[History]:
    """Yield which tensors JSON names."""
    if isinstance(data, list):
        for part in data:
            yield from _needed(part)
    elif isinstance(data, Mapping):
        if data.get("class_name") == "__keras_tensor__":
            yield _history(data["config"]["keras_history"])
        else:
            for part in data.values():
                yield from _needed(part)


def _is_history(nest: Json) -> bool:
    return isinstance(nest, (list, tuple)) and len(nest) == 3 and isinstance(nest[0], str) and isinstance(nest[1], int)


def _history(data: Json) -> History:
    name, call, index = data
    return str(name), int(call), int(index)


def _histories(nest: Json) -> Iterator[Json]:
    if _is_history(nest):
        yield nest
    else:
        for part in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _histories(part)


def takes_graph(kind: type[Layer]) -> bool:
    """Return whether a class of models is made from inputs and outputs, as ``Model`` is, so that its config is the graph."""
    import inspect

    parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
    kinds = {parameter.kind for parameter in parameters}
    everything = inspect.Parameter.VAR_POSITIONAL in kinds and inspect.Parameter.VAR_KEYWORD in kinds
    return everything or [parameter.name for parameter in parameters[:2]] == ["inputs", "outputs"]
