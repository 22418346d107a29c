"""Functions that take or return functions: ``vectorize``, ``custom_gradient``, ``associative_scan``, ``jvp``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from devices import on_device

from anabranch import Input, Model, ops
from anabranch._errors import AnabranchError, ArgumentError, ShapeError

X, Y = np.arange(12, dtype="float32").reshape(3, 4), np.linspace(-1, 1, 4, dtype="float32")


def test_vectorize_broadcasts_single_elements(keras: Any) -> None:
    def function(a: Any, b: Any) -> Any:
        assert a.ndim == b.ndim == 0
        return a * b + 1

    assert np.allclose(ops.vectorize(function)(X, Y), X * Y + 1)
    assert np.allclose(ops.vectorize(function)(X, Y), keras.ops.vectorize(function)(X, Y))
    assert ops.vectorize(function)(2.0, 3.0).item() == 7


def test_vectorize_by_signature(keras: Any) -> None:
    rows = np.stack([X, X + 1])
    found = ops.vectorize(torch.mv, signature="(m,n),(n)->(m)")(rows, Y)
    assert np.allclose(found, rows @ Y)
    assert np.allclose(found, keras.ops.vectorize(torch.mv, signature="(m,n),(n)->(m)")(rows, Y))
    low, high = ops.vectorize(lambda row: (row.min(), row.max()), signature="(n)->(),()")(X)
    assert np.array_equal(low, X.min(1))
    assert np.array_equal(high, X.max(1))
    with pytest.raises(ShapeError, match="two sizes"):
        ops.vectorize(torch.mv, signature="(m,n),(n)->(m)")(X, Y[:3])
    with pytest.raises(ShapeError, match="does not return what its signature says"):
        ops.vectorize(torch.mv, signature="(m,n),(n)->(m,n)")(X, Y)
    with pytest.raises(ArgumentError, match="no signature"):
        ops.vectorize(torch.mv, signature="m,n")


def test_vectorize_hands_excluded_arguments_on() -> None:
    """Keras takes the set of them for None, and varies them."""
    seen = []

    def function(a: Any, table: Any) -> Any:
        seen.append(table)
        return table[0] * a

    table = on_device(torch.tensor([3.0, 4.0]))
    assert np.allclose(ops.vectorize(function, excluded={1})(X, table), 3 * X)
    assert seen[0] is table


@ops.custom_gradient
def squared(x: Any, y: Any) -> Any:
    return x * x + y, lambda *args, upstream: (10 * upstream * args[0], upstream)


def test_custom_gradient_replaces_the_gradient() -> None:
    x, y = (on_device(torch.tensor(value)).requires_grad_() for value in (3.0, 1.0))
    result = squared(x, y)
    assert result.item() == 10
    assert [each.item() for each in torch.autograd.grad(result, (x, y))] == [30, 1]


def test_custom_gradient_of_what_comes_from_above_alone_and_of_several_results() -> None:
    @ops.custom_gradient
    def both(x: Any) -> Any:
        return (x, 2 * x), lambda first, second: first + 100 * second

    x = on_device(torch.tensor(3.0)).requires_grad_()
    first, second = both(x)
    assert torch.autograd.grad(first + second, x)[0].item() == 101


def test_custom_gradient_in_a_model() -> None:
    x = Input((2,))
    model = Model(x, squared(x, x))
    given = on_device(torch.ones(3, 2)).requires_grad_()
    result = model(given, training=True)
    assert np.array_equal(result.detach(), np.full((3, 2), 2.0, "float32"))
    assert np.array_equal(torch.autograd.grad(result.sum(), given)[0], np.full((3, 2), 11.0, "float32"))


def test_custom_gradient_asks_for_a_pair() -> None:
    with pytest.raises(AnabranchError, match="must return a pair"):
        ops.custom_gradient(lambda x: x)(1.0)


@pytest.mark.parametrize("count", range(1, 10))
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_the_running_product(count: int, reverse: bool) -> None:
    """Of matrices, which do not commute."""
    matrices = np.random.default_rng(count).normal(size=(count, 2, 2)).astype("float32")
    found = ops.associative_scan(lambda a, b: b @ a if reverse else a @ b, matrices, reverse)
    order = matrices[::-1] if reverse else matrices
    expected = [order[0]]
    for each in order[1:]:
        expected.append(each @ expected[-1] if reverse else expected[-1] @ each)
    assert np.allclose(found, expected[::-1] if reverse else expected, atol=1e-4)


def test_associative_scan_of_nests_and_symbols() -> None:
    def step(a: Any, b: Any) -> Any:  # s' = r s + v
        return {"r": a["r"] * b["r"], "v": b["r"] * a["v"] + b["v"]}

    given = {"r": np.full((1, 5), 0.5, "float32"), "v": np.ones((1, 5), "float32")}
    eager = ops.associative_scan(step, given, axis=1)
    assert np.allclose(eager["v"], [[1, 1.5, 1.75, 1.875, 1.9375]])
    inputs = {name: Input((5,)) for name in given}
    symbolic = ops.associative_scan(step, inputs, axis=1)
    assert symbolic["v"].shape == (None, 5)
    assert np.array_equal(Model(inputs, symbolic["v"])(given), eager["v"])
    with pytest.raises(ShapeError, match="one size"):
        ops.associative_scan(step, {"r": X, "v": X[:2]})


def test_jvp_with_something_beside() -> None:
    value, tangent, beside = ops.jvp(lambda x: (ops.sin(x), x + 5), (0.0,), (2.0,), has_aux=True)
    assert (value.item(), tangent.item(), beside.item()) == (0, 2, 5)


@pytest.mark.parametrize("axis", [0, 1, None])
def test_argpartition_puts_one_element_in_order(axis: int | None) -> None:
    x = np.random.default_rng(0).permutation(12).astype("float32").reshape(3, 4) / 7
    order = ops.argpartition(x, 2, axis).cpu().numpy()
    found = x.ravel()[order] if axis is None else np.take_along_axis(x, order, axis)
    found = np.moveaxis(found, -1 if axis is None else axis, 0)
    assert (found[:2] <= found[2]).all()
    assert (found[3:] >= found[2]).all()
    with pytest.raises(IndexError, match="no position 12"):
        ops.argpartition(x, 12, axis)


@pytest.mark.parametrize(
    ("pattern", "lengths", "words"),
    [
        ("a b", {}, "no pattern"),
        ("a b -> a c", {}, "once on each side"),
        ("a b c -> a b c", {}, "does not fit"),
        ("a (b c) -> a b c", {}, "do not follow"),
        ("a (b c) -> a b c", {"b": 3}, "does not split"),
        ("a b -> b a", {"c": 3}, "no axis 'c'"),
    ],
)
@pytest.mark.parametrize("x", [X, Input((4,))])
def test_rearrange_says_what_is_wrong(x: Any, pattern: str, lengths: dict[str, int], words: str) -> None:
    with pytest.raises(AnabranchError, match=words):
        ops.rearrange(x, pattern, **lengths)


def test_complex_numbers_pass_between_layers(keras: Any) -> None:
    x, y = Input((4,)), Input((4,))
    z = ops.polar(x, y)
    assert z.dtype == "complex64"
    outputs = [
        ops.real(z * z),
        ops.abs(z),
        abs(z),
        ops.angle(z / 2),
        ops.mean(z, 1),
        ops.var(z, 1),
        ops.matmul(z, ops.transpose(ops.conj(z))),
    ]
    given = [np.abs(X) + 1, X / 12]
    found = Model([x, y], outputs)(given)
    exact = given[0] * np.exp(1j * given[1])
    expected = [
        (exact**2).real, given[0], given[0], given[1], exact.mean(1), exact.var(1), exact @ exact.conj().T,
    ]  # fmt: skip
    for symbol, value, right in zip(outputs, found, expected, strict=True):
        assert symbol.dtype == str(value.dtype).removeprefix("torch.")
        assert np.allclose(value, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_transforms_keep_the_dtype_of_their_parts(dtype: str) -> None:
    x = ops.cast(X, dtype)
    for found in (*ops.fft((x, x)), *ops.rfft(x), ops.irfft((x, x)), *ops.stft(x, 2, 2, 2)):
        assert str(found.dtype) == f"torch.{dtype}"


def test_a_pair_is_asked_for() -> None:
    with pytest.raises(AnabranchError, match=r"(?s)is a pair.*ops\.real"):
        ops.fft(X)
    with pytest.raises(ShapeError, match="one shape"):
        ops.fft((X, Y))


@pytest.mark.parametrize("seed", range(5))
def test_the_beam_search_finds_the_likeliest_labels(seed: int) -> None:
    """Of all labelings, whose probabilities are those of their loss."""
    logits = np.random.default_rng(seed).normal(size=(1, 4, 3)).astype("float32")
    paths, scores = ops.ctc_decode(logits, [4], "beam_search", top_paths=3)
    labelings = [
        tuple(int(each) for each in row)
        for length in range(1, 5)
        for row in np.stack(np.meshgrid(*[[1, 2]] * length), -1).reshape(-1, length)
    ]
    losses = {labels: ops.ctc_loss([labels], logits, [len(labels)], [4]).item() for labels in labelings} | {
        (): -float(np.log(np.exp(logits[0, :, 0]) / np.exp(logits[0]).sum(-1)).sum())
    }
    best = sorted((loss, labels) for labels, loss in losses.items())[:3]
    for place, (loss, labels) in enumerate(best):
        assert [label for label in paths[place, 0].tolist() if label >= 0] == list(labels)
        assert np.isclose(-scores[0, place].item(), loss, atol=1e-4)


@pytest.mark.parametrize("shape", [(0,), (1,), (5,)])
def test_histograms_of_few_values(shape: tuple[int, ...]) -> None:
    x = np.full(shape, 2.0, "float32")
    counts, borders = np.histogram(x, 4)
    found = ops.histogram(x, 4)
    assert np.array_equal(found[0], counts.astype("float32"))
    assert np.allclose(found[1], borders)
