"""Updating many weights at once: weights, gradients and state as lists, so that few calls of torch serve all of them."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import torch

from anabranch import runtime
from anabranch._asked import is_from

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]
Slots: TypeAlias = "Mapping[str, float | None]"
Number: TypeAlias = "float | torch.Tensor"
"""A float; or a tensor on the device, whose value a captured update reads."""

FUSED: dict[str, frozenset[str]] = {
    "adam": frozenset(("cpu", "cuda")), "sgd": frozenset(("cpu", "cuda")), "adagrad": frozenset(("cpu",))
}  # fmt: skip
"""Where torch's fused kernels are used, which read and write each value once.

On two cores, one thread, µs for an update of the toy ResNet's 18 weights / of 500 small ones / of a ResNet-50 in ms:
SGD 57/730/6.9 one weight after the other, 41/143/6.5 fused; with momentum 165/2,600/14 and 58/187/10; Adam 455/6,300/38 and
112/280/14; RMSprop 420/5,500/34 and 117/240/19 by Adagrad's kernel. With two threads the order is the same.
"""

CHUNK = 1 << 16
"""How many values a call of ``torch._foreach_*`` is given on a CPU: as many as its cache holds with gradients and state.

In lists of all its weights a ResNet-50's Adam took 75 ms, against 38 one after the other; 500 small weights 3.2 against 6.3.
"""

_KERNEL_DTYPES = (torch.float32, torch.float64)


class Rule(Protocol):
    """The arithmetic of an optimizer."""

    by_element: bool
    """Whether each value is updated by itself, so that tensors that are not contiguous may come as rows."""

    _joins_: bool
    """Whether all weights may come as one tensor, as it makes no difference to a value which weight it is of."""

    def slots_of(self, index: int) -> Slots:
        """Return the names of the state of a weight, with its initial value; None for that of the weight."""

    def update_weights(self, lists: Lists, rate: Number) -> None:
        """Update the weights in ``lists`` in place."""


class Lists(NamedTuple):
    """Some weights of one dtype on one device, their gradients, and each slot's state, all in one order and layout."""

    weights: Tensors
    gradients: Tensors
    state: dict[str, Tensors]
    whole: dict[str, torch.Tensor] | None = None
    """Each slot's state as one tensor, where the lists are all that it holds."""


def fusible(kernel: str, lists: Lists) -> bool:
    """Return whether torch's fused kernel of that name updates these weights."""
    return _has_kernel(kernel, lists.weights[:1])


def _has_kernel(kernel: str, tensors: Tensors) -> bool:
    kinds = {(tensor.device.type, tensor.dtype) for tensor in tensors}
    return len(kinds) == 1 and all(where in FUSED[kernel] and dtype in _KERNEL_DTYPES for where, dtype in kinds)


def chunks(lists: Lists) -> list[Lists]:
    """Return pieces that a CPU's cache holds; all as it is on other devices, which want many weights in one call."""
    if lists.weights[0].device.type != "cpu":
        return [lists]
    found: list[Lists] = []
    begin = size = 0
    for index, weight in enumerate(lists.weights):
        if index > begin and size + weight.numel() > CHUNK:
            found.append(_cut(lists, slice(begin, index)))
            begin, size = index, 0
        size += weight.numel()
    return [*found, _cut(lists, slice(begin, None))]


def _cut(lists: Lists, piece: slice) -> Lists:
    state = {name: tensors[piece] for name, tensors in lists.state.items()}
    return Lists(lists.weights[piece], lists.gradients[piece], state)


def descend(weights: Tensors, steps: Tensors, rate: Number) -> None:
    """Subtract ``rate`` · step from each weight; the rate may be on the device."""
    if not isinstance(rate, torch.Tensor):
        torch._foreach_add_(weights, steps, alpha=-rate)
    elif _has_kernel("sgd", weights) and rate.dtype is torch.float32:
        torch._fused_sgd_(  # type: ignore[misc]  # too many overloads for unions
            weights, steps, [], momentum=0.0, dampening=0.0, lr=rate, weight_decay=0.0, nesterov=False, maximize=False,
            is_first_step=False,
        )  # fmt: skip
    else:
        torch._foreach_sub_(weights, torch._foreach_mul(steps, rate))


class _Group:
    """The weights of one dtype on one device, with their state."""

    def __init__(self, positions: list[int], weights: list[torch.nn.Parameter], slots: Slots, rule: Rule) -> None:
        self.positions, self._by_element = positions, rule.by_element
        self._joins = rule._joins_ and is_from(type(rule).update_weights, "anabranch")  # not one that a user has derived
        self.weights: Tensors = list(weights)
        self.device, self.dtype = weights[0].device, weights[0].dtype
        self.strides = [weight.stride() for weight in weights]
        self._contiguous = all(weight.is_contiguous() for weight in weights)
        # whose last values torch's kernels would round otherwise inside of a vector than behind the last one
        self._alone = [index for index, weight in enumerate(weights) if weight.numel() % runtime.ALIGNED]
        self._others = [index for index, weight in enumerate(weights) if not weight.numel() % runtime.ALIGNED]
        self._begins = runtime.starts([weights[index].numel() for index in self._others])
        self._joined: tuple[list[int], Lists | None] | None = None  # addresses, and the others as one tensor where they are
        self.whole: dict[str, torch.Tensor] = {}
        self.state: dict[str, Any] = {}
        starts = runtime.starts([weight.numel() for weight in weights])
        for name, initial in slots.items():
            whole = torch.full((starts[-1],), initial or 0.0, dtype=self.dtype, device=self.device)
            self.whole[name] = whole
            self.state[name] = [
                whole.as_strided(weight.shape, weight.stride(), start) for weight, start in zip(weights, starts, strict=False)
            ]
            if initial is None:
                torch._foreach_copy_(self.state[name], [weight.detach() for weight in weights])

    def fits(self) -> bool:
        """Return whether the weights are on the device and in the layout that their state was made for."""
        kinds = {(weight.device, weight.dtype) for weight in self.weights}
        return kinds == {(self.device, self.dtype)} and [weight.stride() for weight in self.weights] == self.strides

    def lists(self, gradients: Sequence[torch.Tensor | None]) -> Lists | None:
        """Return what is to be updated: the weights that have a gradient, in one layout with it."""
        try:
            usual = list(map(torch.Tensor.stride, gradients)) == self.strides  # type: ignore[arg-type]  # None raises
        except TypeError:
            usual = False
        if usual:
            lists = Lists(self.weights, list(gradients), self.state, self.whole)  # type: ignore[arg-type]  # none is None
            joined = self._as_one(lists) if self._joins and self._others else None
            return joined or (lists if self._contiguous else self._lines(lists))
        found = [index for index, gradient in enumerate(gradients) if gradient is not None]
        if not found:
            return None
        weights = [self.weights[index] for index in found]
        laid = [_laid_as(weight, gradients[index]) for index, weight in zip(found, weights, strict=True)]
        state: dict[str, Tensors] = {name: [tensors[i] for i in found] for name, tensors in self.state.items()}
        return self._lines(Lists(weights, laid, state, self.whole if len(found) == len(gradients) else None))

    def _as_one(self, lists: Lists) -> Lists | None:
        """Return lists in which one tensor is all weights but those alone; None where they do not lie side by side."""
        addresses = list(map(torch.Tensor.data_ptr, (*lists.weights, *lists.gradients)))
        if self._joined is None or self._joined[0] != addresses:
            self._joined = addresses, self._join(lists)
        return self._joined[1]

    def _join(self, lists: Lists) -> Lists | None:
        one, other = (
            runtime.as_one([tensors[index] for index in self._others], self._begins)
            for tensors in (lists.weights, lists.gradients)
        )
        if one is None or other is None:
            return None
        state: dict[str, Tensors] = {
            name: [whole[: self._begins[-1]], *(lists.state[name][index] for index in self._alone)]
            for name, whole in self.whole.items()
        }
        some, more = ([tensors[index] for index in self._alone] for tensors in (lists.weights, lists.gradients))
        return _in_line(Lists([one, *some], [other, *more], state, self.whole))

    def _lines(self, lists: Lists) -> Lists:
        return _in_line(lists) if self._by_element else lists


def few_threads(weights: Tensors) -> contextlib.AbstractContextManager[None]:
    """One thread, where weights are so small on average that torch's fused kernels are slower in several."""
    small = weights[0].device.type == "cpu" and sum(map(torch.Tensor.numel, weights)) < runtime.ELEMENTS * len(weights)
    return runtime.one_thread() if small else contextlib.nullcontext()


def _in_line(lists: Lists) -> Lists:
    """Return all tensors on a CPU as rows: its fused kernels copy a gradient that is not contiguous, for nothing."""
    if lists.weights[0].device.type != "cpu":
        return lists
    state = {name: _rows(tensors) for name, tensors in lists.state.items()}
    return Lists(_rows(lists.weights), _rows(lists.gradients), state, lists.whole)


def _rows(tensors: Tensors) -> Tensors:
    return [tensor if tensor.is_contiguous() else tensor.as_strided((tensor.numel(),), (1,)) for tensor in tensors]


def in_line(tensor: torch.Tensor) -> torch.Tensor:
    """Return all values of a weight or its state in the order of memory, as a view (n,)."""
    return tensor.detach().as_strided((tensor.numel(),), (1,))


def _laid_as(weight: torch.Tensor, gradient: Any) -> torch.Tensor:
    """Return a gradient in its weight's layout: the fused kernels go through memory without asking."""
    if gradient.is_sparse:  # as torch's Embedding(sparse=True) gives
        gradient = gradient.to_dense()
    return gradient if gradient.stride() == weight.stride() else torch.empty_like(weight).copy_(gradient)


def unguarded(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method of torch's without its guard against its compiler, which it loads: that takes more than a second."""
    found: Callable[..., Any] = inspect.unwrap(method)
    return found


class ListUpdate(torch.optim.Optimizer):
    """A ``torch.optim.Optimizer`` that holds the state of an optimizer of ours and updates all weights in a few calls."""

    def __init__(self, parameters: list[torch.nn.Parameter], rule: Rule) -> None:
        super().__init__(parameters, {"lr": 0.0})
        self._rule = rule
        self._groups: list[_Group] | None = None

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters."""
        unguarded(torch.optim.Optimizer.add_param_group)(self, param_group)

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_rule": self._rule, "_groups": None}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of each parameter."""
        found: dict[str, Any] = unguarded(torch.optim.Optimizer.state_dict)(self)
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        unguarded(torch.optim.Optimizer.load_state_dict)(self, state_dict)
        self._groups = None

    @property
    def groups(self) -> list[_Group] | None:
        """The weights by dtype and device with their state; None until they are asked for, and after that changed."""
        return self._groups

    def state_tensors(self) -> list[torch.Tensor]:
        """Return all state."""
        return [whole for group in self._groups or self._grouped() for whole in group.whole.values()]

    def fits(self) -> bool:
        """Return whether the state is on its parameters' device, and in their layout."""
        return all(group.fits() for group in self._groups or ())

    def refit(self) -> None:
        """Take up the slots that the rule asks for now; those that it asked for before keep their values."""
        rule = self._rule
        if any(group.whole.keys() != rule.slots_of(index).keys() for group in self._groups or () for index in group.positions):
            self._groups = None

    def slot(self, name: str) -> list[torch.Tensor]:
        """Return one slot's state as a tensor for each dtype and device; nothing before the first update."""
        return [group.whole[name] for group in self._groups or () if name in group.whole]

    def update(self, gradients: Sequence[torch.Tensor | None], rate: Number) -> None:
        """Update each parameter that has a gradient, under ``torch.no_grad``; ``gradients`` come in the parameters' order."""
        groups = self._groups or self._grouped()
        for group in groups:
            lists = group.lists(gradients if len(groups) == 1 else [gradients[index] for index in group.positions])
            if lists is not None:
                with few_threads(lists.weights):
                    self._rule.update_weights(lists, rate)
                # torch's fused kernels do not say that they have changed something
                changed = lists.weights if lists.whole is None else group.weights  # as one tensor it is none of them
                torch.autograd.graph.increment_version(changed)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]  # a closure is never passed
        """Update each parameter that has a gradient, with the rate of its group."""
        parameters = self.param_groups[0]["params"]
        self.update([parameter.grad for parameter in parameters], self.param_groups[0]["lr"])

    def _grouped(self) -> list[_Group]:
        """Gather the state in one tensor for each slot, dtype and device; weights of other slots are a group of their own."""
        parameters, rule = self.param_groups[0]["params"], self._rule
        positions: dict[Any, list[int]] = {}
        for index, parameter in enumerate(parameters):
            positions.setdefault((parameter.dtype, parameter.device, *rule.slots_of(index)), []).append(index)
        self._groups = []
        for some in positions.values():
            slots = rule.slots_of(some[0])
            group = _Group(some, [parameters[index] for index in some], slots, rule)
            for position, index in enumerate(some):
                known = self.state.get(parameters[index], {})
                for name in slots:
                    if name in known:
                        group.state[name][position].copy_(known[name])
                self.state[parameters[index]] = {name: tensors[position] for name, tensors in group.state.items()}
            self._groups.append(group)
        return self._groups


def fits(engine: torch.optim.Optimizer) -> bool:
    """Return whether the state is on its parameters' device: ``config.set_device`` moves parameters, not state."""
    if isinstance(engine, ListUpdate):
        return engine.fits()
    return all(
        not isinstance(value, torch.Tensor) or value.dim() == 0 or value.device == parameter.device
        for parameter, state in engine.state.items()
        for value in state.values()
    )


def moved(state: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Return the state of one weight on a device."""
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in state.items()}
