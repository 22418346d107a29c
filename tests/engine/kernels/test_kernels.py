"""Each kernel computes what its reference in plain torch does, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from devices import here
from hypothesis import given, settings, strategies

triton = pytest.importorskip("triton", reason="needs Triton, which the test extra brings on Linux")

from anabranch.engine.kernels import activations, batch_norm, bias_activation, launching, limits, max_pool, trial  # noqa: E402

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 5e-3}
IMAGES, ROWS = (2, 5, 7, 3), (70, 9)
SHAPES = [(IMAGES, 1), (ROWS, -1), ((2, 3, 24), -1), ((1, 130, 2, 2), 1), ((3, 1, 1, 1), 1)]


@pytest.fixture(autouse=True)
def _few_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small sums have strips of several tiles, and a last one that is not full."""
    monkeypatch.setattr(launching, "PROGRAMS", 3)
    monkeypatch.setattr(launching, "ELEMENTS", 256)


def drawn(shape: Any, dtype: torch.dtype = torch.float32, last: bool = True) -> torch.Tensor:
    x = (2 * torch.randn(shape) + 0.5).to(dtype).to(here())
    return x.to(memory_format=torch.channels_last) if last and len(shape) == 4 else x


def close(found: Any, expected: Any, dtype: torch.dtype = torch.float32) -> None:
    for one, other in zip(found, expected, strict=True):
        tolerance = TOLERANCE[dtype] * max(1.0, float(other.detach().abs().max()) if other.numel() else 1.0)
        torch.testing.assert_close(one, other, atol=tolerance, rtol=TOLERANCE[dtype], equal_nan=True)


def gradients(result: torch.Tensor, inputs: list[Any], gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return torch.autograd.grad(result, [x for x in inputs if x is not None], gradient)


def made(shape: Any, axis: int, dtype: torch.dtype, sums: str) -> list[Any]:
    x, bias = drawn(shape, dtype), drawn(shape[axis : axis + 1 or None])
    before, after = (drawn(shape, dtype) if name in sums else None for name in ("before", "after"))
    return [value if value is None else value.requires_grad_() for value in (x, bias, before, after)]


@pytest.mark.parametrize("sums", ["", "before", "after", "before after"])
@pytest.mark.parametrize("activation", activations.NAMES)
def test_bias_and_activation(activation: str, sums: str) -> None:
    for shape, axis in SHAPES:
        inputs = made(shape, axis, torch.float32, sums)
        y = bias_activation.bias_activation(*inputs, activation, axis)
        expected = bias_activation.reference(*inputs, activation, axis)
        gradient = torch.randn_like(y)
        close([y, *gradients(y, inputs, gradient)], [expected, *gradients(expected, inputs, gradient)])


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
@pytest.mark.parametrize("activation", activations.NAMES[1:])
@pytest.mark.parametrize("sums", ["", "after"])
def test_bias_and_activation_in_halves(dtype: torch.dtype, activation: str, sums: str) -> None:
    x, bias, before, after = (v if v is None else v.detach() for v in made(IMAGES, 1, dtype, sums))
    y = bias_activation.bias_activation(x, bias, before, after, activation, 1)
    close([y], [bias_activation.reference(x, bias, before, after, activation, 1)], dtype)
    by_input = activation not in limits.BY_RESULT or after is not None
    given = (drawn(IMAGES, dtype), x if by_input else y, bias if by_input else None, None, by_input, activation, 1)
    found, expected = bias_activation.bias_activation_backward(*given), bias_activation.reference_backward(*given)
    assert found[0].dtype == dtype
    assert found[1].dtype == torch.float32
    close(found, expected, dtype)


def test_a_bias_may_be_missing() -> None:
    x = drawn(IMAGES).requires_grad_()
    y = bias_activation.bias_activation(x, None, x, None, "relu", 1)
    assert torch.equal(y, (2 * x).relu())
    close(gradients(y, [x], y.detach()), [4 * x.relu().detach()])


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_normalization_by_the_batch(activation: str, before: bool) -> None:
    for shape in (IMAGES, ROWS, (3, 24, 10, 10)):
        vectors = [drawn(shape[1:2]).requires_grad_() for _ in range(2)]
        inputs = [drawn(shape).requires_grad_(), *vectors, drawn(shape).requires_grad_() if before else None]
        y, *statistics = batch_norm.batch_norm(*inputs, 1e-3, activation)
        assert not any(each.requires_grad for each in statistics)
        expected, *of_torch = batch_norm.reference(*inputs, 1e-3, activation)
        gradient = torch.randn_like(y)
        close([y, *statistics], [expected, *of_torch])
        close(gradients(y, inputs, gradient), gradients(expected, inputs, gradient))


@pytest.mark.parametrize("dtype", DTYPES[1:], ids=str)
def test_normalization_in_halves(dtype: torch.dtype) -> None:
    x, added, gradient = (drawn((3, 24, 10, 10), dtype) for _ in range(3))
    gamma, beta = drawn((24,)), drawn((24,))
    y, *statistics = batch_norm.batch_norm(x, gamma, beta, added, 1e-3, "relu")
    assert [each.dtype for each in statistics] == [torch.float32] * 2
    close([y, *statistics], batch_norm.reference(x, gamma, beta, added, 1e-3, "relu"), dtype)
    found = batch_norm.batch_norm_backward(gradient, y, x, *statistics, gamma, True, 1e-3, "relu")
    close(found, batch_norm.reference_backward(gradient, y, x, *statistics, gamma, 1e-3, "relu"), dtype)


@pytest.mark.parametrize("weights", ["", "gamma", "beta"])
def test_a_normalization_without_scale_or_shift(weights: str) -> None:
    x = drawn(IMAGES).requires_grad_()
    gamma, beta = (drawn((5,)).requires_grad_() if name in weights else None for name in ("gamma", "beta"))
    y = batch_norm.batch_norm(x, gamma, beta, None, 1e-3, "relu")[0]
    expected = torch.relu(torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.0, 1e-3))
    gradient = torch.randn_like(y)
    close([y, *gradients(y, [x, gamma, beta], gradient)], [expected, *gradients(expected, [x, gamma, beta], gradient)])


def test_statistics_far_from_zero_keep_their_digits() -> None:
    # the mean of squares less the square of the mean would lose all of them
    x = 1e4 + torch.randn(4, 3, 16, 16).to(memory_format=torch.channels_last).to(here())
    _, mean, inverse = batch_norm.batch_norm(x, None, None, None, 1e-3, "relu")
    wide = x.double()
    variance = wide.var((0, 2, 3), correction=0)
    torch.testing.assert_close(mean.double(), wide.mean((0, 2, 3)), rtol=1e-6, atol=0)
    torch.testing.assert_close(inverse.double(), (variance + 1e-3).rsqrt(), rtol=1e-3, atol=0)


@pytest.mark.parametrize("activation", activations.NAMES)
def test_normalization_by_fixed_statistics(activation: str) -> None:
    for shape in (IMAGES, ROWS):
        given = (drawn(shape), drawn(shape[1:2]), drawn(shape[1:2]).abs() + 0.1, drawn(shape[1:2]), None, drawn(shape))
        found = batch_norm.fixed_batch_norm(*given, 1e-3, activation)
        close([found], [batch_norm.fixed_reference(*given, 1e-3, activation)])


POOLS = [((2, 5, 7, 9), (3, 3), (3, 3)), ((1, 3, 8, 8), (2, 2), (2, 2)), ((2, 17, 11, 6), (2, 1), (3, 2))]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "kernel", "strides"), POOLS, ids=str)
def test_pooling_of_disjoint_windows(shape: Any, kernel: Any, strides: Any, dtype: torch.dtype) -> None:
    x = drawn(shape, dtype).round()  # so that a window has its greatest value several times
    x[0, 0, 0, 0] = float("nan")
    x[0, 1] = float("-inf")
    x.requires_grad_()
    y, places = max_pool.max_pool(x, kernel, strides)
    expected = torch.max_pool2d(x, kernel, strides)
    assert places.dtype == torch.uint8
    gradient = torch.randn_like(y)
    close([y, *gradients(y, [x], gradient)], [expected, *gradients(expected, [x], gradient)], dtype)
    places = max_pool.reference(x.detach(), kernel, strides)[1]
    found = max_pool.reference_backward(gradient, places, *shape[2:], kernel, strides)
    close([found], [max_pool.max_pool_backward(gradient, places, *shape[2:], kernel, strides)], dtype)


sizes = strategies.integers(1, 40)


@settings(max_examples=15, deadline=None)
@given(
    batch=strategies.integers(0, 4), channels=sizes, height=sizes, width=strategies.integers(1, 6), last=strategies.booleans()
)
def test_images_of_any_size(batch: int, channels: int, height: int, width: int, last: bool) -> None:
    shape = (batch, channels, height, width)
    x = drawn(shape, last=last).requires_grad_()
    bias = drawn((channels,)).requires_grad_()
    y = bias_activation.bias_activation(x, bias, None, x, "silu", 1)
    expected = bias_activation.reference(x, bias, None, x, "silu", 1)
    gradient = torch.randn_like(expected)
    close([y, *gradients(y, [x, bias], gradient)], [expected, *gradients(expected, [x, bias], gradient)])
    if height > 1 < width:
        y, expected = max_pool.max_pool(x, (2, 2), (2, 2))[0], torch.max_pool2d(x, 2) if batch else None
        assert y.shape == (batch, channels, height // 2, width // 2)
        if expected is not None:
            close([y], [expected])


@pytest.mark.parametrize("shape", [(0, 5, 4, 4), (0, 7)], ids=str)
def test_an_empty_batch(shape: Any) -> None:
    x, bias = drawn(shape).requires_grad_(), drawn((shape[1],)).requires_grad_()
    y = bias_activation.bias_activation(x, bias, None, None, "relu", 1)
    assert y.shape == shape
    dx, dbias = torch.autograd.grad(y.sum(), [x, bias])
    assert dx.shape == shape
    assert not dbias.any()
    if len(shape) == 4:
        assert max_pool.max_pool(x, (2, 2), (2, 2))[0].shape == (0, 5, 2, 2)
    with pytest.raises(RuntimeError, match="at least one element"):  # as torch's own normalization says
        batch_norm.batch_norm(x, bias, None, None, 1e-3, "relu")


def test_the_gradient_of_a_mean_is_read_where_it_is() -> None:
    x, bias = drawn(IMAGES).requires_grad_(), drawn((5,)).requires_grad_()
    spread = drawn((2, 5, 1, 1), last=False).expand(IMAGES)
    read = launching.Gradient.of(spread, 1)
    assert read.values is spread
    assert (read.inner, read.outer) == (21, 5)
    for y, expected in (
        (bias_activation.bias_activation(x, bias, None, None, "relu", 1), (x + bias.view(-1, 1, 1)).relu()),
        (max_pool.max_pool(x, (2, 2), (2, 2))[0], torch.max_pool2d(x, 2)),
    ):
        given = [value for value in (x, bias) if value is x or y.shape == x.shape]
        part = drawn((2, 5, 1, 1), last=False).expand(y.shape)
        close(gradients(y, given, part), gradients(expected, given, part))
    y = batch_norm.batch_norm(x, bias, bias, None, 1e-3, "relu")[0]
    expected = batch_norm.reference(x, bias, bias, None, 1e-3, "relu")[0]
    close(gradients(y, [x, bias], spread), gradients(expected, [x, bias], spread))


def test_what_does_not_fit_is_computed_by_torch() -> None:
    wide = drawn(IMAGES).double().requires_grad_()
    bias = drawn((5,)).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, b: bias_activation.bias_activation(x, b, None, x, "gelu", 1), (wide, bias))
    assert torch.autograd.gradcheck(lambda x, b: batch_norm.batch_norm(x, b, b, x, 1e-3, "none")[0], (wide, bias))
    assert torch.autograd.gradcheck(lambda x: max_pool.max_pool(x, (2, 2), (2, 2))[0], (wide,))


@pytest.mark.not_fake("torch checks operators of its own devices alone")
def test_torch_finds_the_operators_well_formed() -> None:
    x, bias = drawn(IMAGES).requires_grad_(), drawn((5,)).requires_grad_()
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(bias_activation.bias_activation, (x, bias, None, x, "relu", 1), test_utils=tests)
    torch.library.opcheck(batch_norm.batch_norm, (x, bias, bias, x, 1e-3, "relu"), test_utils=tests)
    torch.library.opcheck(batch_norm.fixed_batch_norm, (x, bias, bias**2, bias, None, x, 1e-3, "relu"), test_utils=tests[:1])
    torch.library.opcheck(max_pool.max_pool, (x, [2, 2], [2, 2]), test_utils=tests)


def test_sums_do_not_depend_on_the_order_of_programs() -> None:
    x, gradient = drawn((2, 24, 9, 9)), drawn((2, 24, 9, 9))
    given = (gradient, x, None, None, False, "relu", 1)
    first = bias_activation.bias_activation_backward(*given)
    assert all(
        torch.equal(one, other) for one, other in zip(first, bias_activation.bias_activation_backward(*given), strict=True)
    )


@pytest.mark.parametrize(("rows", "channels"), [(1, 1), (7, 3), (10**6, 64), (2**31 + 5, 1000), (100, 100_000)])
def test_tiles_cover_everything_once(rows: int, channels: int) -> None:
    tiles = launching.Tiles.of(rows, channels)
    assert tiles.block_rows * tiles.block_channels == launching.ELEMENTS
    assert (tiles.grid[0] - 1) * tiles.block_rows < rows <= tiles.grid[0] * tiles.block_rows
    strip = tiles.strip_tiles * tiles.block_rows
    assert (tiles.strips[0] - 1) * strip < rows <= tiles.strips[0] * strip
    assert tiles.grid[1] == tiles.strips[1]
    assert (tiles.grid[1] - 1) * tiles.block_channels < channels <= tiles.grid[1] * tiles.block_channels
    assert tiles.strips[0] <= max(1, launching.PROGRAMS // tiles.strips[1])


def test_a_trial_finds_kernels_right_or_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    trial.failure.cache_clear()
    assert trial.failure(here()) == ""
    for wrong, words in (
        (lambda *_: torch.zeros(2, 24, 9, 9).to(here()), "the kernel bias_activation gave other values than torch"),
        (_raising, "failed: RuntimeError: no C compiler"),
    ):
        trial.failure.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(bias_activation, "bias_activation", wrong)
            assert words in trial.failure(here())
    trial.failure.cache_clear()


def _raising(*_: object) -> None:
    raise RuntimeError("no C compiler\nin detail")
