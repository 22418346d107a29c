"""Functions with a gradient of their own, and functions that are recomputed for it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence

from anabranch import _tree
from anabranch._arguments import checked
from anabranch._asked import shown
from anabranch._errors import ArgumentTypeError
from anabranch._frames import bounded
from anabranch.graph import Tensor as Symbolic, call_site, describe
from anabranch.graph.call_site import warn
from anabranch.graph.function import Whole
from anabranch.ops._arguments import documented
from anabranch.ops._torch import fx, torch
from anabranch.ops._values import tensor

Nest = _tree.Nest


@checked
@documented
def custom_gradient(f: Callable[..., tuple[Nest, Callable[..., Nest]]]) -> Callable[..., Nest]:
    """Return a function with the results of another and a gradient of its own.

    Args:
        f: takes tensors and returns a pair: its result, and a function that returns each argument's gradient. That is called
            as ``gradient(*args, upstream=g)``, or ``gradient(g)`` where it takes no ``upstream``; g is the result's gradient,
            or those of several results.

    >>> @custom_gradient
    ... def clipped(x):
    ...     return x * x, lambda *args, upstream: (2 * x * upstream).clamp(-1, 1)
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(clipped(x), x)
    (tensor(1.),)
    """

    @functools.wraps(f)
    def wrapped(*args: Nest) -> Nest:
        if any(isinstance(leaf, Symbolic) for leaf in _tree.leaves(args)):
            return describe(Whole(wrapped), args, {}, call_site())
        return _applied(f, [tensor(leaf) for leaf in _tree.leaves(args)], args)

    return wrapped


@bounded
def remat(f: Callable[..., Nest]) -> Callable[..., Nest]:
    """Return a function that is recomputed in the backward pass, for which only its inputs are saved (Chen et al. 2016).

    A layer that calls it runs whole, as a model runs what it cannot trace. On symbolic tensors it is ``f`` alone.

    Args:
        f: a function of tensors, or a layer.

    Example:
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> torch.autograd.grad(remat(lambda x: x * x)(x), x)
        (tensor(6.),)
    """
    if not callable(f):
        raise ArgumentTypeError("f of remat must be a function of tensors.", got=shown(f))

    def wrapped(*args: Nest, **kwargs: Nest) -> Nest:
        leaves = [*_tree.leaves(args), *_tree.leaves(list(kwargs.values()))]
        if any(isinstance(leaf, Symbolic) for leaf in leaves):
            warn("remat has no effect on symbolic tensors: name the layer in compile(remat=…), or make it in a RematScope.")
            return f(*args, **kwargs)
        if any(isinstance(leaf, fx.Proxy) for leaf in leaves):
            raise fx.proxy.TraceError("what is recomputed runs whole")
        from torch.utils.checkpoint import checkpoint

        return checkpoint(f, *args, use_reentrant=False, **kwargs)

    return wrapped


def _applied(f: Callable[..., tuple[Nest, Callable[..., Nest]]], leaves: list[torch.Tensor], args: Nest) -> Nest:
    form: list[Nest] = []

    class Custom(torch.autograd.Function):
        @staticmethod
        def forward(context: torch.autograd.function.FunctionCtx, *given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            result = f(*_tree.fill(args, given))
            if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
                raise ArgumentTypeError("f of custom_gradient must return a pair.", expected="(result, gradient function)")
            form.extend((result[0], result[1]))
            context.save_for_backward(*given)
            return tuple(torch.as_tensor(leaf).view_as(torch.as_tensor(leaf)) for leaf in _tree.leaves(result[0]))

        @staticmethod
        def backward(context: torch.autograd.function.FunctionCtx, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
            saved: Sequence[torch.Tensor] = context.saved_tensors  # type: ignore[attr-defined]  # torch does not type it
            return _gradients(form[1], _tree.fill(args, saved), upstream)

    results = Custom.apply(*leaves)  # type: ignore[no-untyped-call]  # untyped in torch
    return _tree.fill(form[0], results)


def _gradients(
    gradient: Callable[..., Nest], args: Sequence[Nest], upstream: Sequence[torch.Tensor]
) -> tuple[torch.Tensor | None, ...]:
    """Return the gradient of each argument, from a function that takes the arguments too or what comes from above alone."""
    taken = inspect.signature(gradient).parameters
    above = upstream[0] if len(upstream) == 1 else upstream
    found = gradient(*args, upstream=above) if "upstream" in taken else gradient(*upstream)
    return tuple(_tree.leaves(found))
