"""What the kernels take, also for who asks where Triton is not there."""

from __future__ import annotations

import torch

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
BY_RESULT = ("none", "relu", "relu6")
"""Activations whose slope follows from their result."""
WINDOW = 256
"""Pixels of a pooled window at most, as one byte says which was the greatest."""
