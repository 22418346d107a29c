"""Kernels of our own for CUDA devices, written in Triton: one a file, beside what it computes in plain torch.

Each is an operator of torch's (``torch.ops.anabranch…``), with a gradient and a rule for fake tensors. They are loaded by the
pass that puts them into the code (``passes/kernels.py``), where triton can be imported and :mod:`.trial` found them right.
"""
