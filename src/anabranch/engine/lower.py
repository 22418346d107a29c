"""Lowering: a graph becomes a ``torch.fx.GraphModule``, specialised to one mode.

Each layer's ``call`` runs once on proxies, so the code that comes out is what the layers wrote. A layer whose ``call`` cannot
be traced (it branches on values) stays one opaque module.
"""

from __future__ import annotations

import linecache
import operator
import weakref
from collections.abc import Collection, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch.fx.proxy import Proxy

from anabranch import _tree, runtime
from anabranch._errors import MadeInCallError
from anabranch.engine import held
from anabranch.engine.attributes import carries, drawn, held_numbers, tensors_of, users_layers
from anabranch.engine.opaque import MASKS, Opaque, need_tensors
from anabranch.engine.traced import NotingTracer, Traced
from anabranch.graph import Graph, Node, Operation, Shape, Spec, Tensor, Weight, spec_leaves, with_values
from anabranch.graph.flatten import Step, flatten
from anabranch.graph.masks import reaches
from anabranch.runtime.masks import traced
from anabranch.runtime.naming import attribute_name, attribute_path, weight_places


class Lowered(NamedTuple):
    """An fx graph and the weights and modules that it names; it returns outputs, losses of activity and masks of outputs.

    ``outputs`` says how many of the values are outputs, ``masked`` which of these have masks; ``third_party`` are modules of
    other authors.
    """

    root: torch.nn.Module
    code: torch.fx.Graph
    training: bool
    outputs: int
    masked: tuple[int, ...]
    third_party: tuple[torch.nn.Module, ...]

    def copied(self) -> torch.fx.Graph:
        """Return the code once more, to be rewritten."""
        graph = torch.fx.Graph()
        graph.output(graph.graph_copy(self.code, {}))
        return graph

    def module(self) -> torch.fx.GraphModule:
        """Return the code as a module, as it was traced."""
        return made_runnable(self.root, self.code, self.training)


def made_runnable(root: torch.nn.Module, code: torch.fx.Graph, training: bool) -> torch.fx.GraphModule:
    """Return an fx graph as a module in the mode it was traced for."""
    module = torch.fx.GraphModule(root, code, "Lowered")
    weakref.finalize(module, _forget_source, module.forward.__code__.co_filename)
    return module.train(training)


class Tracer(NotingTracer):
    """Appends what layers do to an fx graph; weights become reads of the module's parameters."""

    penalties: ClassVar[bool] = True  # whether losses and updates of metrics are part of the code

    def __init__(self, training: bool) -> None:
        super().__init__(torch.fx.Graph())
        self._holder = "training_constants" if training else "constants"  # one module may hold both modes
        self.root = torch.nn.Module()
        self.losses: list[Proxy] = []
        self.watched = 0  # updates of metrics so far
        self.path = ""  # of the step under way
        self.modules: dict[torch.nn.Module, str] = {}  # those of other authors, with their places
        self._reads: dict[Weight, Proxy] = {}
        self._places: dict[Weight, str] = {}
        self._taken: set[str] = set()
        self._devices = held.devices()
        self._context = True, False, *held.context(self._devices)[2:]  # with gradients, as calls are traced
        self.held: frozenset[int] = frozenset()  # ids of the tensors that the users' layers under way hold
        # the value is held, so that its id stays its own
        self._constants: dict[int, tuple[torch.Tensor | torch.Generator, Proxy]] = {}

    def create_node(self, *args: Any, **kwargs: Any) -> torch.fx.Node:
        """Record one operation, and the layer that it came from."""
        if held.context(self._devices) != self._context:
            raise TypeError("a context of torch's, such as no_grad, is not part of the code")
        if args[1] in _OF_GRADIENTS:  # which have an effect with gradients alone
            raise TypeError("what a call does with gradients is not part of the code")
        node = super().create_node(*args, **kwargs)
        node.meta["path"] = self.path
        if node.target is operator.pow and isinstance(node.args[0], (int, float)):
            node.target = torch.pow  # the code of an fx graph has -2 ** x, which Python reads as -(2 ** x)
        return node

    def proxy(self, node: torch.fx.Node) -> Proxy:
        """Return what represents a node's value."""
        return Traced(node, self)

    def place(self, step: Step) -> None:
        """Say where in the module the weights of this step's layer go."""
        self.path = step.path
        for weight, target in weight_places(step.node.operation, step.path):
            self._place(weight, target)

    def _place(self, weight: Weight, target: str) -> str:
        """Return where a weight goes: at ``target``, unless that is another's, as where a layer holds parts of two models."""
        if weight not in self._places:
            while target in self._taken:
                target += "_"
            self._taken.add(target)
            self._places[weight] = target
        return self._places[weight]

    def weight(self, weight: Weight) -> torch.Tensor:
        """Return the read of one weight, in torch's layout, under the type of what it represents."""
        return traced(self.read(weight))

    def write(self, weight: Weight, value: torch.Tensor) -> None:
        """Record that the values of one weight, given in torch's layout, are replaced."""
        self.weight(weight).detach().copy_(value)

    def read(self, weight: Weight) -> Proxy:
        """Return the read of one weight, in torch's layout."""
        if weight not in self._reads:
            target = self._place(weight, attribute_path(weight.path))
            attach(self.root, target, runtime.realize(weight))
            self._reads[weight] = self.proxy(self.graph.get_attr(target))
        return self._reads[weight]

    def module(self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Proxy:
        """Record the call of another author's module."""
        if module not in self.modules:
            target = attribute_path(self.path)
            while target in self.modules.values():
                target += "_"
            self.modules[module] = target
        return self.submodule(self.modules[module], module, args, kwargs)

    def inner_call(
        self, layer: Operation, args: tuple[Any, ...], kwargs: dict[str, Any], edges: Sequence[runtime.Edge]
    ) -> tuple[Any, list[Any]] | None:
        """Trace layers inside others as the code that they are."""
        return None

    def noted(self) -> object:
        """Return what a call that cannot be traced may leave beside its nodes."""

    def restore(self, noted: object) -> None:
        """Forget what a call has left since it was ``noted``."""

    def ran(self, layer: Operation, result: _tree.Nest) -> None:
        """Note the penalty on a layer's activity, by the batch's size; and the dtype of what gives floats alone."""
        if not layer._takes_integers_:
            for value in _tree.leaves(result):
                if isinstance(value, Proxy):
                    value.node.meta.setdefault("dtype", layer.compute_dtype)
        penalty = layer.activity_regularizer
        if penalty is not None and self.penalties:
            self.losses.extend(penalty(x) / (x.shape[0] + (x.shape[0] == 0)) for x in _tree.leaves(result))  # of no samples: 0

    def loss(self, value: object) -> None:
        """Note a loss that a layer adds; of several numbers, their sum."""
        if self.penalties:
            self.losses.append(value.sum() if isinstance(value, Proxy) else self.constant(torch.as_tensor(value).sum()))

    def watch(self, metric: runtime.Watched, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Record the update of a metric as a module of its own."""
        if self.penalties:
            self.watched += 1
            self.submodule(f"watched.m{self.watched}", runtime.Watching(metric), args, kwargs)

    def create_arg(self, a: object) -> Any:
        """Accept weights, constant tensors and random generators among the arguments of a traced call."""
        known = runtime.known_weight(a) if isinstance(a, torch.Tensor) else None
        if known is not None:
            a = self.weight(known)
        elif isinstance(a, Weight):
            a = runtime.shown(a)
        elif isinstance(a, (torch.Tensor, torch.Generator)):
            a = self.constant(a)
        return super().create_arg(a)

    @held.untraced
    def constant(self, value: torch.Tensor | torch.Generator) -> Proxy:
        """Return the read of a tensor or generator that a layer's code holds; the module holds it too, tensors as buffers."""
        if id(value) not in self._constants:
            target = f"{self._holder}.c{len(self._constants)}"
            attach(self.root, target, value.detach() if isinstance(value, torch.Tensor) else value)
            self._constants[id(value)] = value, self.proxy(self.graph.get_attr(target))
        return self._constants[id(value)][1]

    def submodule(self, target: str, module: torch.nn.Module, args: Sequence[object], kwargs: dict[str, Any]) -> Proxy:
        """Record the call of a module that stays whole; it goes beside what its place holds, such as weights that were read."""
        while _module_at(self.root, target) not in (None, module):
            target += "_"
        attach(self.root, target, module)
        return self.create_proxy("call_module", target, tuple(args), kwargs)


_OF_GRADIENTS = ("requires_grad_", "backward", "retain_grad", torch.autograd.grad, torch.autograd.backward)


def lower(graph: Graph, *, training: bool, absent: Collection[int] = ()) -> Lowered:
    """Return the code that computes ``graph``: flat tensors in, a flat tuple out.

    The inputs numbered in ``absent`` are None and not asked for.
    """
    tracer = Tracer(training)
    flat = flatten(graph)
    values: dict[int, Any] = {}
    reach: dict[int, int] = {}  # over how many axes each value is masked
    masks: dict[int, Any] = {}  # of the values that have one
    names = {"self", "torch"}
    declared = any(tensor.shape and tensor.shape[0] is not None for tensor in graph.inputs)
    for index, (number, tensor) in enumerate(zip(flat.inputs, graph.inputs, strict=True)):
        if index in absent:
            values[number] = None
            continue
        name = graph.names.get(tensor.node.operation, tensor.name)
        values[number] = tracer.proxy(_placeholder(tracer.graph, name, names))
        values[number].node.meta.update(shape=tensor.shape, dtype=tensor.dtype)
        if declared:
            _forget_batch([values[number]])
    operations = [step.node.operation for step in flat.steps]
    with held.tracing(tracer), runtime.training_scope(training), runtime.stored(operations):
        for step in flat.steps:
            masked = masked_axes(step, reach)
            given = [masks.get(number) for number in step.inputs]
            inputs = runtime.distinct([values[number] for number in step.inputs], given)
            results, found = trace_step(tracer, step, inputs, given, masked)
            note_shapes(step, masked, results, found)
            if declared:
                _forget_batch(results)
            values.update(zip(step.outputs, results, strict=True))
            masks.update((number, mask) for number, mask in zip(step.outputs, found, strict=True) if mask is not None)
    outputs = [values[number] for number in flat.outputs]
    masks_of_outputs = {i: masks[number] for i, number in enumerate(flat.outputs) if number in masks}
    tracer.graph.output(tracer.create_arg((*outputs, *tracer.losses, *masks_of_outputs.values())))
    _forget_unused(tracer.graph, [mask.node for mask in masks.values() if isinstance(mask, Proxy)])
    return Lowered(tracer.root, tracer.graph, training, len(outputs), tuple(masks_of_outputs), tuple(tracer.modules))


def _forget_batch(values: Iterable[object]) -> None:
    """Note that the batch of traced values may have any size, whichever an Input declares: data of other sizes may come."""
    for value in values:
        if isinstance(value, Proxy) and value.node.meta.get("shape"):
            value.node.meta["shape"] = (None, *value.node.meta["shape"][1:])


def _placeholder(graph: torch.fx.Graph, name: str, taken: set[str]) -> torch.fx.Node:
    """Add an input under its own name, changed where that cannot be an argument of the code or is ``taken``; take it."""
    name = attribute_name(name)
    while name in taken:
        name += "_"
    taken.add(name)
    return graph.placeholder(name)


def _forget_source(file: str) -> None:
    """Let go of the generated code that fx keeps for tracebacks, once its module is gone."""
    linecache.cache.pop(file, None)
    getattr(torch.fx.graph_module._loader, "eval_cache", {}).pop(file, None)  # not in every version of torch


def trace_step(
    tracer: Tracer, step: Step, inputs: list[Any], masks: list[Any], masked: tuple[int, ...]
) -> tuple[list[Any], list[Any]]:
    """Return what a step gives, and the masks of that."""
    layer = step.node.operation
    tracer.place(step)
    inputs = _cast(step, inputs)
    args, kwargs = _tree.map_leaves(runtime.as_constant, with_values(step.node, inputs))
    last, losses, noted = next(iter(reversed(tracer.graph.nodes)), None), len(tracer.losses), tracer.noted()
    own = users_layers(layer)
    edges = list(zip(inputs, masks, strict=True))

    def forget() -> None:
        del tracer.losses[losses:]
        _forget_after(tracer.graph, last)
        tracer.restore(noted)

    try:
        counted = held_numbers(own)
        result, marks = _traced(tracer, layer, (args, kwargs), edges, own)
        if (again := held_numbers(own)) != counted:  # once more: what the first call alone sets, such as a flag, is set now
            forget()
            result, marks = _traced(tracer, layer, (args, kwargs), edges, own)
            if held_numbers(own) != again:
                raise TypeError("what a call counts while it is traced would be the same at every call")
        found = _tree.leaves(result)
        need_tensors(layer, result)
        if isinstance(result, Proxy):
            found, marks = _taken_apart(result, marks[0], step.node, masked)
        if len(found) != len(spec_leaves(step.node.output_specs)):
            raise TypeError("a traced value cannot be taken apart")
    except Exception as error:
        if not layer._opaque_if_needed_ or isinstance(error, MadeInCallError):
            raise
        forget()
        found, marks = _whole(tracer, step, (args, kwargs), edges, masked)
    return found, marks


def _traced(
    tracer: Tracer, layer: Operation, arguments: tuple[Any, Any], edges: list[runtime.Edge], own: list[Operation]
) -> tuple[_tree.Nest, list[Any]]:
    """Return what a call gives, and its masks; raise where a user's code does what cannot be traced."""
    args, kwargs = arguments
    tracer.refused, tracer.held = False, tensors_of(own)
    before = drawn(own) if own else ()
    with torch.enable_grad():  # a call may leave it disabled where it ends by an error
        result, marks = runtime.run(layer, args, kwargs, edges)
    if own and drawn(own) != before:
        raise TypeError("numbers drawn while tracing would be the same at every call")
    if carries(own):
        raise TypeError("what a call leaves for the next one is another value at every call")
    if tracer.refused:
        raise TypeError("a call that goes on without a value that it asks for would do otherwise with it")
    return result, marks


def _whole(
    tracer: Tracer,
    step: Step,
    arguments: tuple[tuple[Any, ...], dict[str, Any]],
    edges: list[runtime.Edge],
    masked: tuple[int, ...],
) -> tuple[list[Any], list[Any]]:
    """Record the call of a layer as one module; masks go in and out beside the values."""
    args, kwargs = arguments
    known = {id(value): mask for value, mask in edges}
    masks = [known.get(id(leaf)) for leaf in _tree.leaves(arguments)]
    given = {**kwargs, MASKS: masks} if any(mask is not None for mask in masks) else kwargs
    whole = tracer.submodule(attribute_path(step.path), Opaque(step.node.operation, masked), args, given)
    count = step.node.output_count
    if count == 1 and not masked and isinstance(step.node.output_specs, Spec):
        return [whole], [None]
    found = [operator.getitem(whole, i) for i in range(count)]
    marks: list[Any] = [None] * count
    for place, index in enumerate(index for index, reach in enumerate(masked) if reach):
        marks[index] = operator.getitem(whole, count + place)
    return found, marks


def _taken_apart(value: Proxy, mask: object, node: Node, masked: tuple[int, ...]) -> tuple[list[Any], list[Any]]:
    """Return a traced value of a nest as its traced leaves, and their masks; the mask may be of a nest as well."""
    specs = node.output_specs
    if isinstance(specs, Spec):
        return [value], [mask]
    found = _tree.leaves(_parts(value, specs))
    if mask is None:
        return found, [None] * len(found)
    masks = _tree.leaves(_parts(mask, specs)) if not node.operation._is_function_ else [mask] * len(found)
    return found, [m if reach else None for m, reach in zip(masks, masked, strict=True)]


def _parts(value: _tree.Nest, specs: _tree.Nest) -> _tree.Nest:
    if isinstance(specs, Spec):
        return value
    if isinstance(specs, dict):
        return {key: _parts(value[key], part) for key, part in specs.items()}
    return [_parts(value[index], part) for index, part in enumerate(specs)]


def _cast(step: Step, inputs: list[Any]) -> list[Any]:
    """Cast floats of another type than the layer's, as calling the layer on numbers does, and integers where it takes none."""
    layer = step.node.operation
    if not layer.autocast:
        return inputs
    given = [(None, step.node.args), *step.node.kwargs.items()]
    numbers = [
        not layer._takes_integers_ and (name is None or layer._is_input_(name))
        for name, value in given
        for leaf in _tree.leaves(value)
        if isinstance(leaf, Tensor)
    ]
    return [
        _to(x, layer.compute_dtype, t.shape)
        if x is not None and t.dtype != layer.compute_dtype and ("float" in t.dtype or number)
        else x
        for x, t, number in zip(inputs, step.node.inputs, numbers, strict=True)
    ]


def _to(x: Proxy, dtype: str, shape: Shape) -> Proxy:
    if "float" not in dtype:
        return x
    x = x.to(runtime.dtype_of(dtype))
    x.node.meta.update(shape=shape, dtype=dtype)
    return x


def _forget_after(graph: torch.fx.Graph, last: torch.fx.Node | None) -> None:
    """Erase what a failed trace left, except reads of weights, which later steps share."""
    for node in reversed(list(graph.nodes)):
        if node is last:
            return
        if node.op != "get_attr":
            graph.erase_node(node)


def masked_axes(step: Step, reach: dict[int, int]) -> tuple[int, ...]:
    """Return over how many axes each output of a step is masked, and note it by value number; () where none is."""
    given = [reach.get(number, 0) for number in step.inputs]
    masked = reaches(step.node, given) if any(given) or step.node.mask_axes else ()
    reach.update(zip(step.outputs, masked, strict=False))
    return masked


def note(value: object, spec: Spec) -> None:
    """Note on a traced value the shape and dtype of a symbolic tensor."""
    if isinstance(value, Proxy):
        value.node.meta.setdefault("shape", spec.shape)
        value.node.meta.setdefault("dtype", spec.dtype)


def note_shapes(step: Step, masked: tuple[int, ...], results: Sequence[Any], masks: Sequence[Any]) -> None:
    """Note on traced values what the symbolic tensors say of them, and on their masks the shape."""
    specs = spec_leaves(step.node.output_specs)
    for spec, result in zip(specs, results, strict=True):
        note(result, spec)
    for spec, mask, axes in zip(specs, masks, masked, strict=False):
        if axes:
            runtime.shaped(mask, spec.shape[:axes])


def _forget_unused(graph: torch.fx.Graph, masks: list[torch.fx.Node]) -> None:
    """Erase masks that nobody looks at, and what was computed for them alone."""
    stack = list(dict.fromkeys(masks))
    while stack:
        node = stack.pop()
        if not node.users and not node._erased and node.op in ("call_function", "call_method"):
            before = node.all_input_nodes
            graph.erase_node(node)
            stack.extend(before)


def _module_at(root: torch.nn.Module, target: str) -> torch.nn.Module | None:
    """Return the module at a dotted path, None where there is none."""
    found: torch.nn.Module | None = root
    for name in target.split("."):
        found = None if found is None else found._modules.get(name)
    return found


def attach(root: torch.nn.Module, target: str, value: object) -> None:
    """Set a parameter, buffer or module at a dotted path, making plain modules on the way."""
    *parents, name = target.split(".")
    for parent in parents:
        if not hasattr(root, parent):  # modules keep their children by name
            root.add_module(parent, torch.nn.Module())
        root = getattr(root, parent)
    if isinstance(value, torch.nn.Module):
        root.add_module(name, value)
    elif isinstance(value, torch.nn.Parameter):
        root.register_parameter(name, value)
    elif isinstance(value, torch.Tensor):
        root.register_buffer(name, value)
    else:
        setattr(root, name, value)
