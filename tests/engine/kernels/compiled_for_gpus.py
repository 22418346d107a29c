"""Compiles every kernel in its variants for NVIDIA's processors, on a machine without any, and prints what came out as JSON.

The operators are called on tensors of the CPU while launching is replaced by compiling, with the types, the numbers and the
alignment that the launch would have had. Triton's interpreter takes code that its compiler does not, so both are tried.
"""

from __future__ import annotations

import collections
import inspect
import itertools
import json
import re
import sys
from collections.abc import Callable
from typing import Any

import torch

TYPES = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.uint8: "*u8"}
Found = dict[str, dict[str, int]]


def compiler(capability: int, found: Found) -> Callable[..., None]:
    """Return what compiles a kernel instead of launching it, and counts what it compiled."""
    import triton
    from triton.backends.compiler import GPUTarget

    done: set[Any] = set()

    def compiled(kernel: Any, *args: Any, grid: Any, warmup: bool = False, **kwargs: Any) -> None:
        values = {**dict(zip(kernel.arg_names, args, strict=False)), **kwargs}
        signature: dict[str, str] = {}
        constants: dict[str, Any] = {}
        aligned: list[int] = []
        for number, name in enumerate(kernel.arg_names):
            value = values[name]
            if name.isupper() or (isinstance(value, int) and value == 1):
                constants[name] = value
            elif isinstance(value, float):
                signature[name] = "fp32"
            else:
                signature[name] = TYPES[value.dtype] if isinstance(value, torch.Tensor) else "i32"
                if isinstance(value, torch.Tensor) or value % 16 == 0:  # memory from torch's allocator begins at such places
                    aligned.append(number)
        key = kernel.__name__, str(signature), str(constants), str(aligned)
        if key in done:
            return
        done.add(key)
        source = source_of(kernel, signature, constants, aligned)
        code = triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["ptx"]
        counts = found[f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}"]
        counts["variants"] += 1
        counts["wide"] += bool(re.search(r"ld\.global[.\w:]*\.v[24]\.(b|f|u)(32|64)", code))

    return compiled


def source_of(kernel: Any, signature: dict[str, str], constants: dict[str, Any], aligned: list[int]) -> Any:
    """Return what the compiler takes: arguments by name before Triton 3.3, which the oldest torch has, by number since."""
    from triton.compiler import ASTSource

    if "constants" in inspect.signature(ASTSource).parameters:
        from triton.backends.compiler import AttrsDescriptor

        properties = {"tt.divisibility": aligned, "tt.equal_to": []}
        attributes = AttrsDescriptor.from_dict({"arg_properties": properties, "cls": "AttrsDescriptor"})
        return ASTSource(fn=kernel, signature=signature, constants=constants, attrs=attributes)
    return ASTSource(
        fn=kernel,
        signature={name: signature.get(name, "constexpr") for name in kernel.arg_names},
        constexprs={(kernel.arg_names.index(name),): value for name, value in constants.items()},
        attrs={(number,): [["tt.divisibility", 16]] for number in aligned},
    )


def call_all(activations: tuple[str, ...]) -> None:
    """Call the operators in their variants, in bfloat16 with these activations."""
    from anabranch.engine.kernels import batch_norm, bias_activation, limits, max_pool

    for module in (batch_norm, bias_activation, max_pool):
        module.fits = lambda *_: True
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.zeros(2, 64, 16, 16, dtype=dtype).to(memory_format=torch.channels_last)
        vector, spread = torch.zeros(64), torch.zeros(2, 64, 1, 1, dtype=dtype).expand(x.shape)
        names = activations if dtype == torch.bfloat16 else ("relu",)
        for activation, given in itertools.product(names, ((None, None), (x, None), (None, x))):
            bias_activation.bias_activation(x, vector, *given, activation, 1)
            for before, gradient in ((given[0], x), (None, spread)):
                by_input = activation not in limits.BY_RESULT or given[1] is not None
                bias_activation.bias_activation_backward(gradient, x, vector, before, by_input, activation, 1)
        for activation, before in itertools.product(set(names) & {*limits.BY_RESULT}, (None, x)):
            batch_norm.batch_norm(x, vector, vector, before, 1e-3, activation)
            batch_norm.fixed_batch_norm(x, vector, vector, None, vector, before, 1e-3, activation)
            for gradient in (x, spread):
                batch_norm.batch_norm_backward(gradient, x, x, vector, vector, vector, before is not None, 1e-3, activation)
        y, places = max_pool.max_pool(x, (3, 3), (3, 3))
        max_pool.max_pool_backward(y, places, 16, 16, (3, 3), (3, 3))
    odd = torch.zeros(2, 10, 3, 3, dtype=torch.float16).to(memory_format=torch.channels_last)
    bias_activation.bias_activation(odd, torch.zeros(10), None, odd, "relu", 1)
    max_pool.max_pool(odd, (2, 2), (2, 2))


def main() -> None:
    import triton

    from anabranch.engine.kernels.activations import NAMES

    found: Found = collections.defaultdict(lambda: {"variants": 0, "wide": 0})
    triton.JITFunction.run = compiler(int(sys.argv[1]), found)
    call_all(tuple(sys.argv[2:]) or NAMES)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
