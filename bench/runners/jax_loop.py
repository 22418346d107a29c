"""Flax on JAX: one jitted step with optax, buffers donated, the batch gathered inside of it; the epoch is a Python loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from nets.flax_modules import NETS
from works import NETS as FED, Case, data


def optimizer_of(name: str) -> optax.GradientTransformation:
    """Return the network's optimizer."""
    net = FED[name]
    if net.optimizer == "sgd":
        return optax.sgd(net.rate, momentum=0.9)
    if net.optimizer == "adam":
        return optax.adam(net.rate, eps=1e-7)
    return optax.rmsprop(net.rate, decay=0.9, eps=1e-7)


def size(variables: Any) -> int:
    """Return how many numbers are trained."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def started(name: str) -> tuple[Any, Any]:
    """Return the network and its initial values."""
    net = NETS[name]()
    return net, jax.jit(partial(net.init, train=False))(jax.random.key(0), *data(name, 1)[0])


def train(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and one epoch of the loop."""
    case, pairs = cases["fit"], FED[name].loss == "pairs"
    net, variables = started(name)
    optimizer = optimizer_of(name)
    arrays, labels = data(name, case.amount)
    x, y = [jnp.asarray(array) for array in arrays], jnp.asarray(labels)

    def loss_of(params: Any, rest: Any, inputs: Any, targets: Any, key: Any) -> Any:
        outputs, changed = net.apply(
            {"params": params, **rest}, *inputs, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        if pairs:
            losses, right = optax.sigmoid_binary_cross_entropy(outputs, targets), (outputs > 0) == (targets > 0.5)
        else:
            losses = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
            right = outputs.argmax(1) == targets
        return losses.mean(), (changed, right.sum())

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: Any, y: Any, index: Any) -> Any:
        params, rest, moments, key, total, right = state
        key, dropout = jax.random.split(key)
        inputs, targets = [array[index] for array in x], y[index]
        (loss, (rest, hits)), gradients = jax.value_and_grad(loss_of, has_aux=True)(params, rest, inputs, targets, dropout)
        updates, moments = optimizer.update(gradients, moments, params)
        return optax.apply_updates(params, updates), rest, moments, key, total + loss, right + hits

    params = variables["params"]
    rest = {key: value for key, value in variables.items() if key != "params"}
    state = (params, rest, optimizer.init(params), jax.random.key(1), jnp.zeros(()), jnp.zeros((), jnp.int32))
    rng, count = np.random.default_rng(0), size(variables)

    def epoch() -> None:
        nonlocal state
        for index in np.split(rng.permutation(case.amount), range(case.batch, case.amount, case.batch)):
            state = step(state, x, y, index)
        jax.block_until_ready(state)

    return count, {"fit": epoch}


def infer(name: str, cases: dict[str, Case], variant: str, device: str) -> tuple[int, dict[str, Callable[[], Any]]]:
    """Return the count of parameters and the passes."""
    net, variables = started(name)
    x, _ = data(name, max(case.amount for case in cases.values()))
    apply = jax.jit(partial(net.apply, train=False))

    def run(case: Case) -> None:
        parts = (apply(variables, *(array[at : at + case.batch] for array in x)) for at in range(0, case.amount, case.batch))
        np.concatenate([np.asarray(part) for part in parts])

    def call() -> None:
        one = [array[:1] for array in x]
        for _ in range(cases["call 1"].amount):
            np.asarray(apply(variables, *one))

    passes: dict[str, Callable[[], Any]] = {"call 1": call}
    passes |= {key: lambda case=case: run(case) for key, case in cases.items() if case.batch > 1}
    return size(variables), passes


def table(name: str, variant: str) -> None:
    """Print flax's table."""
    print(NETS[name]().tabulate(jax.random.key(0), *data(name, 1)[0], train=False))
